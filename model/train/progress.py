"""Progress of a run for a person: one line per step on a terminal, one line now and then in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

_EVERY = 10  # steps between lines if the output is not a terminal


class Progress:
    """Prints the records of a run. Call it with each record."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()

    def __call__(self, record: Mapping[str, float | int | str]) -> None:
        checked = [key for key in record if key.startswith("validation_")]
        step = int(record.get("step", 0))
        if self._live and not checked:
            self._stream.write(f"\r{describe(record)}\033[K")
        elif checked or step % _EVERY == 0:
            self._stream.write(f"{chr(13) if self._live else ''}{describe(record)}\n")
        self._stream.flush()


def describe(record: Mapping[str, float | int | str]) -> str:
    """One line: stage, step, loss, tokens per second, remaining time, and any validation figures."""
    if "loss" not in record:
        return "  ".join(f"{key} {value}" for key, value in record.items())
    left = int(record["seconds_left"])
    parts = [
        f"{record['stage']} {record['step']}",
        f"loss {float(record['loss']):.4f}",
        f"{float(record['tokens_per_second']):,.0f} tokens/s",
        f"{left // 60}:{left % 60:02d} left",
    ]
    for key, value in record.items():
        if key.startswith("validation_"):
            parts.append(f"{key.removeprefix('validation_')} {float(value):.3f}")
    return "  ".join(parts)
