"""Drift alarms on phantom films: how soon an inverted device is noticed, and how often a sound one.

    python -m benchmarks.shadow_drift [--first 0] [--seeds 20] [--films 800] [--px 128]

Nothing is canned: the plausibility checks of drafting (`agent.objects.films.plausibility`) and the input
statistics look at the pixels of each film, as they are and inverted. Every seed has films of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from agent.objects.films.plausibility.gate import marks_on
from agent.objects.pixels import StudyImage
from agent.reports.input_statistics import input_statistics
from agent.shadow.drift import DriftAlarm, DriftRule, drift_alarms
from agent.shadow.observations import Observation
from agent.shadow.watching import observation
from model.phantom import draw_spec, render

FIRST_SEED = 7_000_000
BEGIN = datetime(2026, 6, 1, 7, tzinfo=UTC)
RULE = DriftRule()
# Films of a clean month after the baseline; and after how many of them the device is switched over.
MONTH, SWITCHED_AFTER = 600, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a draft keeps of one film as it is, and of the same film inverted."""

    sound: dict[str, Any]
    inverted: dict[str, Any]


def looked(seed: int, px: int) -> Looked:
    """Draw the frontal film of a phantom and measure it both ways."""
    spec = draw_spec(seed)
    pixels = (render(spec, "frontal", px) >> 4).astype(np.uint8)
    present = [{"concept": one.concept, "presence": "present"} for one in spec.findings]
    return Looked(
        sound=_content(pixels, present), inverted=_content(np.subtract(255, pixels, dtype=np.uint8), present)
    )


def _content(pixels: NDArray[np.uint8], findings: list[dict[str, Any]]) -> dict[str, Any]:
    header = Dataset()
    header.Manufacturer, header.ManufacturerModelName = "ACME", "DX 1"
    header.Rows, header.Columns = pixels.shape
    image = StudyImage(pixels=pixels, view="frontal", header=header)
    return {
        "findings": findings,
        "flags": [{"code": mark.code, "text": mark.text} for mark in marks_on(image)],
        "input": input_statistics([image]),
    }


def sequence(films: Sequence[Looked], switched_after: int | None) -> Iterator[Observation]:
    """Yield the drafts of a device in the order of time; from one film on they are inverted."""
    for number, film in enumerate(films):
        wrong = switched_after is not None and number >= switched_after
        content = film.inverted if wrong else film.sound
        yield observation(content, BEGIN + timedelta(minutes=20 * number), "north", None)


def first_alarm(films: Sequence[Looked], switched_after: int | None) -> DriftAlarm | None:
    """Return the first alarm of a device."""
    alarms = drift_alarms(sequence(films, switched_after), RULE)
    return min(alarms, key=lambda alarm: alarm.after, default=None)


def main() -> int:
    """Print each seed's first alarm with and without the change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="first seed, to go on where a run has ended")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--films", type=int, default=RULE.baseline + MONTH)
    parser.add_argument("--px", type=int, default=128)
    given = parser.parse_args()
    late, false = 0, 0
    for seed in range(given.first, given.first + given.seeds):
        first = FIRST_SEED + seed * given.films
        films = [looked(first + number, given.px) for number in range(given.films)]
        clean = first_alarm(films, None)
        changed = first_alarm(films[: RULE.baseline + SWITCHED_AFTER + 100], RULE.baseline + SWITCHED_AFTER)
        delay = None if changed is None else changed.after - SWITCHED_AFTER
        late += delay is None or not 0 < delay <= 50
        false += clean is not None
        print(
            f"seed {seed}: inverted: {None if changed is None else changed.event} after {delay} films; "
            f"clean: {None if clean is None else clean.event}",
            flush=True,
        )
    print(f"{given.seeds} devices: {late} not alarmed within 50 films, {false} alarmed in a clean month")
    return 1 if late or false else 0


if __name__ == "__main__":
    raise SystemExit(main())
