"""Drift alarms: events in a stream of drafts that happen more or less often than in its baseline. Pure.

The first `baseline` drafts of a stream (one device of one site) are its baseline; from then on, every
possible event is charted in both directions (`agent.shadow.cusum`). After an alarm a chart is not continued:
a person looks, and a new baseline restarts the charts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.shadow.cusum import Direction, chart_for, first_alarm, threshold_for
from agent.shadow.observations import Observation, events, usual

# Events that are possible only for drafts with a signed report or with that statistic.
_OPTIONAL = ("agreement:", "input:")
DIRECTIONS: tuple[Direction, ...] = ("up", "down")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """The parameters of the search for drift.

    baseline: the number of a stream's first drafts that are its baseline. false_alarm: the probability of
    a false alarm anywhere in `studies` further drafts of one stream without any change.
    """

    baseline: int = 200
    studies: int = 3000
    false_alarm: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlarm:
    """An event whose rate changed: `before` in the baseline, `rate` in the last `studies` drafts.

    after: drafts from the end of the baseline until the alarm; at: the draft that raised it.
    """

    stream: str
    event: str
    direction: Direction
    before: float
    rate: float
    studies: int
    after: int
    at: datetime


def drift_alarms(observations: Iterable[Observation], rule: DriftRule) -> list[DriftAlarm]:
    """Return the alarms of all streams, in the order of time.

    A stream without as many drafts as its baseline needs has none yet.
    """
    streams: dict[str, list[Observation]] = {}
    for one in sorted(observations, key=lambda one: one.at):
        streams.setdefault(one.stream, []).append(one)
    found = [alarm for name in streams for alarm in _stream_alarms(name, streams[name], rule)]
    return sorted(found, key=lambda alarm: (alarm.at, alarm.stream, alarm.event))


def _stream_alarms(name: str, drafts: Sequence[Observation], rule: DriftRule) -> list[DriftAlarm]:
    baseline, rest = drafts[: rule.baseline], drafts[rule.baseline :]
    if len(baseline) < rule.baseline or not rest:
        return []
    ranges = usual(baseline)
    before = [events(one, ranges) for one in baseline]
    after = [events(one, ranges) for one in rest]
    names = sorted({event for one in (*before, *after) for event in one})
    threshold = threshold_for(
        studies=rule.studies, charts=len(names) * len(DIRECTIONS), false_alarm=rule.false_alarm
    )
    found = []
    for event in names:
        hits = Counter(_had(one, event) for one in before)
        told = [
            (draft, had)
            for draft, one in zip(rest, after, strict=True)
            if (had := _had(one, event)) is not None
        ]
        for direction in DIRECTIONS:
            alarm = _alarm(name, event, direction, hits, told, threshold)
            if alarm is not None:
                found.append(alarm)
    return found


def _had(events_of_draft: Mapping[str, bool], event: str) -> bool | None:
    """Whether a draft had an event; None if that is unknown."""
    if event.startswith(_OPTIONAL):
        return events_of_draft.get(event)
    return events_of_draft.get(event, False)


def _alarm(
    name: str,
    event: str,
    direction: Direction,
    hits: Counter[bool | None],
    told: Sequence[tuple[Observation, bool]],
    threshold: float,
) -> DriftAlarm | None:
    total = hits[True] + hits[False]
    if total == 0:
        return None
    chart = chart_for(hits=hits[True], total=total, direction=direction, threshold=threshold)
    alarm = None if chart is None else first_alarm(chart, (had for _draft, had in told))
    if alarm is None:
        return None
    return DriftAlarm(
        stream=name,
        event=event,
        direction=direction,
        before=hits[True] / total,
        rate=alarm.rate,
        studies=alarm.since,
        after=alarm.after,
        at=told[alarm.after - 1][0].at,
    )
