"""Plots as plain shapes, which are drawn alike in SVG (`agent.shadow.svg`) and in the PDF. Pure.

Lengths are in points; x grows to the right and y downwards. A shape's role says what it is, and each output
gives it a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.shadow.accuracy import ConceptAccuracy, GroupAccuracy
from agent.shadow.calibration import Reliability
from agent.shadow.rates import Rate

Role = Literal["axis", "grid", "mark", "interval", "second", "label", "soft", "alarm"]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotLine:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotDot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotWords:
    """One line of text; y is its base line."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    role: Role = "label"


Shape = PlotLine | PlotDot | PlotWords


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot; description: the same in words, for readers who cannot see it."""

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]


_NAMES, _ROW, _SCALE, _GAP, _TOP = 150.0, 18.0, 150.0, 26.0, 34.0


def spoken(concept: str) -> str:
    """Return a concept in words."""
    return concept.replace("_", " ")


def forest(concepts: Sequence[ConceptAccuracy]) -> Plot:
    """Sensitivity, specificity and PPV of each finding with their 95 % intervals, side by side."""
    measures: Sequence[tuple[str, str]] = (
        ("sensitivity", "Sensitivity"),
        ("specificity", "Specificity"),
        ("ppv", "PPV"),
    )
    height = _TOP + _ROW * max(1, len(concepts)) + 8
    shapes: list[Shape] = []
    for row, one in enumerate(concepts):
        y = _TOP + _ROW * row + _ROW / 2
        shapes.append(PlotWords(x=_NAMES - 8, y=y + 3.5, text=spoken(one.concept), anchor="end"))
    for place, (name, title) in enumerate(measures):
        left = _NAMES + place * (_SCALE + _GAP)
        shapes += _scale(left, _TOP, height - 8, title)
        for row, one in enumerate(concepts):
            shapes += _interval(getattr(one, name), left, _TOP + _ROW * row + _ROW / 2)
    return Plot(
        width=_NAMES + 3 * _SCALE + 2 * _GAP + 14,
        height=height,
        title="Figures of each finding",
        description="Sensitivity, specificity and positive predictive value with 95 % intervals; the table "
        "has the same numbers.",
        shapes=tuple(shapes),
    )


def _scale(left: float, top: float, bottom: float, title: str) -> list[Shape]:
    shapes: list[Shape] = [PlotWords(x=left + _SCALE / 2, y=top - 20, text=title, anchor="middle")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + share * _SCALE
        shapes.append(PlotLine(x1=x, y1=top - 4, x2=x, y2=bottom, role="grid"))
        if share in (0.0, 0.5, 1.0):
            shapes.append(PlotWords(x=x, y=top - 8, text=f"{share:g}", anchor="middle", role="soft"))
    return shapes


def _interval(rate: Rate, left: float, y: float) -> list[Shape]:
    if rate.value is None or rate.low is None or rate.high is None:
        return [PlotWords(x=left + _SCALE / 2, y=y + 3.5, text="no case", anchor="middle", role="soft")]
    return [
        PlotLine(x1=left + rate.low * _SCALE, y1=y, x2=left + rate.high * _SCALE, y2=y, role="interval"),
        PlotDot(x=left + rate.value * _SCALE, y=y, radius=3, role="mark"),
    ]


_LEFT, _WIDE, _HIGH = 46.0, 560.0, 150.0


def over_months(months: Sequence[tuple[str, Rate]], title: str, alarms: Sequence[str] = ()) -> Plot:
    """A share in each month with its 95 % interval; months with a drift alarm are marked below."""
    shapes: list[Shape] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + (1 - share) * _HIGH
        shapes.append(PlotLine(x1=_LEFT, y1=y, x2=_LEFT + _WIDE, y2=y, role="grid"))
        shapes.append(PlotWords(x=_LEFT - 6, y=y + 3.5, text=f"{share:.0%}", anchor="end", role="soft"))
    step = _WIDE / max(1, len(months))
    before: tuple[float, float] | None = None
    for number, (month, rate) in enumerate(months):
        x = _LEFT + step * (number + 0.5)
        shapes.append(PlotWords(x=x, y=_TOP + _HIGH + 16, text=month, anchor="middle", role="soft"))
        shapes.append(
            PlotWords(x=x, y=_TOP + _HIGH + 29, text=f"n = {rate.total}", anchor="middle", role="soft")
        )
        if month in alarms:
            shapes.append(
                PlotWords(x=x, y=_TOP + _HIGH + 42, text="drift alarm", anchor="middle", role="alarm")
            )
        if rate.value is None or rate.low is None or rate.high is None:
            before = None
            continue
        y = _TOP + (1 - rate.value) * _HIGH
        if before is not None:
            shapes.append(PlotLine(x1=before[0], y1=before[1], x2=x, y2=y, role="mark"))
        high, low = (_TOP + (1 - one) * _HIGH for one in (rate.high, rate.low))
        shapes.append(PlotLine(x1=x, y1=high, x2=x, y2=low, role="interval"))
        shapes.append(PlotDot(x=x, y=y, radius=3.5, role="mark"))
        before = (x, y)
    shapes.append(PlotWords(x=_LEFT, y=14, text=title))
    return Plot(
        width=_LEFT + _WIDE + 14,
        height=_TOP + _HIGH + 50,
        title=title,
        description="; ".join(_month_in_words(month, rate) for month, rate in months) or "no month yet",
        shapes=tuple(shapes),
    )


def _month_in_words(month: str, rate: Rate) -> str:
    return f"{month}: " + ("none" if rate.value is None else f"{rate.value:.0%} of {rate.total}")


def undisputed_months(groups: Sequence[GroupAccuracy], alarms: Sequence[str] = ()) -> Plot:
    """The share of studies without any disagreement, month by month."""
    return over_months(
        [(one.name, one.undisputed) for one in groups], "Studies without a disagreement", alarms
    )


_SIDE = 220.0


def reliability_plot(found: Reliability) -> Plot:
    """Stated probability against the share that was signed, on the half that was not fitted on."""
    shapes: list[Shape] = [PlotWords(x=_LEFT, y=14, text="Calibrated probabilities on the other half")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _LEFT + share * _SIDE, _TOP + (1 - share) * _SIDE
        shapes += [
            PlotLine(x1=_LEFT, y1=y, x2=_LEFT + _SIDE, y2=y, role="grid"),
            PlotLine(x1=x, y1=_TOP, x2=x, y2=_TOP + _SIDE, role="grid"),
            PlotWords(x=_LEFT - 6, y=y + 3.5, text=f"{share:.2f}", anchor="end", role="soft"),
            PlotWords(x=x, y=_TOP + _SIDE + 14, text=f"{share:.2f}", anchor="middle", role="soft"),
        ]
    shapes.append(PlotLine(x1=_LEFT, y1=_TOP + _SIDE, x2=_LEFT + _SIDE, y2=_TOP, role="axis"))
    largest = max((one.count for one in found.bins), default=1)
    for one in found.bins:
        shapes.append(
            PlotDot(
                x=_LEFT + one.stated * _SIDE,
                y=_TOP + (1 - one.signed) * _SIDE,
                radius=2 + 4 * (one.count / largest) ** 0.5,
                role="mark",
            )
        )
    shapes += [
        PlotWords(
            x=_LEFT + _SIDE / 2, y=_TOP + _SIDE + 30, text="stated probability", anchor="middle", role="soft"
        ),
        PlotWords(x=_LEFT + _SIDE + 12, y=_TOP + 12, text=f"calibration error {found.error:.3f}"),
        PlotWords(x=_LEFT + _SIDE + 12, y=_TOP + 28, text=f"{found.count} findings"),
        PlotWords(x=_LEFT + _SIDE + 12, y=_TOP + 44, text="up: share signed", role="soft"),
    ]
    return Plot(
        width=_LEFT + _SIDE + 190,
        height=_TOP + _SIDE + 38,
        title="Reliability of the probabilities",
        description="; ".join(f"stated {one.stated:.2f}, signed {one.signed:.2f}" for one in found.bins),
        shapes=tuple(shapes),
    )
