"""Learning curves of a run as PNG."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

_SMOOTH = 0.95


def draw_curves(log: Path, target: Path) -> None:
    """Plots the loss (raw and smoothed), the learning rate and every validation figure over the steps.

    Args:
        log: a run's `log.jsonl`.
        target: the PNG.
    """
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [record["step"] for record in records]
    losses = [record["loss"] for record in records]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(steps, losses, color="0.8", linewidth=0.8, label="loss")
    left.plot(steps, _smoothed(losses), color="tab:blue", label="loss, smoothed")
    left.set(xlabel="step", ylabel="loss", title=str(records[0]["stage"]), yscale="log")
    left.legend()
    validated = sorted({k for r in records for k in r if k.startswith("validation_") and r[k] <= 1.0})
    for key in validated:
        points = [(record["step"], record[key]) for record in records if key in record]
        right.plot(*zip(*points, strict=True), marker=".", label=key.removeprefix("validation_"))
    right.set(xlabel="step", ylim=(0, 1.02), title="held-out studies")
    if validated:
        right.legend()
    figure.savefig(target, dpi=90)
    pyplot.close(figure)


def _smoothed(values: list[float]) -> list[float]:
    smooth, out = values[0], []
    for value in values:
        smooth = _SMOOTH * smooth + (1 - _SMOOTH) * value
        out.append(smooth)
    return out
