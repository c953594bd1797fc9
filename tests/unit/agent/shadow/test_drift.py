"""Drift alarms: none without a change, and early ones after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import exp

import numpy as np
import pytest

from agent.shadow.cusum import chart_for, first_alarm, threshold_for
from agent.shadow.drift import DriftRule, drift_alarms
from agent.shadow.observations import Observation

RULE = DriftRule()
START = datetime(2026, 1, 5, tzinfo=UTC)
RATES = {"pleural_effusion": 0.3, "pneumothorax": 0.02, "cardiomegaly": 0.25, "mass": 0.01, "nodule": 0.06}
Day = Callable[[np.random.Generator, int], Observation]


def ordinary(chance: np.random.Generator, number: int) -> Observation:
    """A draft of a device that works as usual."""
    return Observation(
        stream="north / DX 1",
        at=START + timedelta(minutes=10 * number),
        findings=frozenset(concept for concept, share in RATES.items() if chance.random() < share),
        flags=frozenset({"single_view"} if chance.random() < 0.4 else ()),
        numbers={"exposure": float(chance.lognormal(1.0, 0.3)), "rows": 2500.0},
        words={"manufacturer": "ACME"},
        disagrees=bool(chance.random() < 0.25) if chance.random() < 0.8 else None,
    )


def alarms(seed: int, count: int, change: Day | None = None, at: int = 0) -> list[tuple[str, str, int]]:
    chance = np.random.default_rng(seed)
    drafts = [
        (change if change is not None and number >= at else ordinary)(chance, number)
        for number in range(count)
    ]
    return [(one.event, one.direction, one.after) for one in drift_alarms(drafts, RULE)]


@pytest.mark.parametrize("seed", range(20))
def test_drift_clean_months_raise_no_alarm(seed: int) -> None:
    """Without a change a device raises no alarm in two months of 600 drafts after the baseline."""
    assert alarms(seed, RULE.baseline + 1200) == []


@pytest.mark.parametrize("seed", range(20))
def test_drift_inverted_films_are_alarmed_within_fifty(seed: int) -> None:
    """A device that starts to invert its images raises an alarm within 50 drafts, by its flags."""

    def inverted(chance: np.random.Generator, number: int) -> Observation:
        draft = ordinary(chance, number)
        flagged = {"inverted"} if chance.random() < 0.95 else set()
        return Observation(
            stream=draft.stream,
            at=draft.at,
            findings=draft.findings,
            flags=draft.flags | flagged,
            numbers=draft.numbers,
            words=draft.words,
            disagrees=draft.disagrees,
        )

    found = alarms(seed, RULE.baseline + 150, inverted, at=RULE.baseline + 100)
    first = min(found, key=lambda alarm: alarm[2])
    assert first[:2] in {("flag:inverted", "up"), ("flag:any", "up")}
    assert 100 < first[2] <= 150


def test_drift_finding_that_is_no_longer_drafted_is_alarmed_downwards() -> None:
    """A falling rate raises an alarm as well as a rising one."""

    def blind(chance: np.random.Generator, number: int) -> Observation:
        draft = ordinary(chance, number)
        return Observation(stream=draft.stream, at=draft.at, findings=frozenset())

    found = alarms(3, RULE.baseline + 150, blind, at=RULE.baseline)
    assert ("finding:pleural_effusion", "down") in {alarm[:2] for alarm in found}


def test_drift_new_vendor_and_exposure_are_alarmed() -> None:
    """A word missing from the baseline and numbers outside its range raise alarms like any other event."""

    def replaced(chance: np.random.Generator, number: int) -> Observation:
        draft = ordinary(chance, number)
        return Observation(
            stream=draft.stream,
            at=draft.at,
            findings=draft.findings,
            flags=draft.flags,
            numbers={"exposure": draft.numbers["exposure"] * 8, "rows": 2500.0},
            words={"manufacturer": "OTHER"},
        )

    events = {alarm[0] for alarm in alarms(4, RULE.baseline + 100, replaced, at=RULE.baseline)}
    assert {"input:manufacturer", "input:exposure"} <= events
    assert "input:rows" not in events


def test_drift_without_a_whole_baseline_is_silent() -> None:
    """A device without drafts beyond its baseline, or without a whole baseline, is not judged."""
    assert alarms(5, RULE.baseline) == []
    assert alarms(5, RULE.baseline - 1) == []


def test_chart_false_alarms_stay_below_the_bound() -> None:
    """Without a change at most n exp(-h) of the charts pass h; here h is chosen so that the bound is 5 %."""
    chance = np.random.default_rng(6)
    threshold = threshold_for(studies=400, charts=1, false_alarm=0.05)
    assert 400 * exp(-threshold) == pytest.approx(0.05)
    chart = chart_for(hits=5000, total=50_000, direction="up", threshold=threshold)
    assert chart is not None
    passed = sum(first_alarm(chart, list(chance.random(400) < 0.1)) is not None for _ in range(400))
    assert passed <= 400 * 0.05


def test_threshold_refuses_what_is_no_probability() -> None:
    """A threshold needs counts and a probability."""
    with pytest.raises(ValueError, match="probability"):
        threshold_for(studies=10, charts=1, false_alarm=1.0)
