"""The monthly report as blocks, for both the HTML and the PDF layout. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.shadow.accuracy import ConceptAccuracy, GroupAccuracy
from agent.shadow.cusum import ODDS_RATIO
from agent.shadow.drift import DriftAlarm
from agent.shadow.monthly import MonthlyReport
from agent.shadow.plots import Plot, forest, reliability_plot, spoken, undisputed_months
from agent.shadow.rates import Rate
from agent.shadow.report_method import METHOD
from agent.shadow.switching import PairedResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """The report's title and its subtitle."""

    text: str
    under: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The heading of a section; new_page: the section begins on a new page."""

    text: str
    new_page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Plain text; soft: a remark."""

    text: str
    soft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A few large figures with their names."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """A table; widths: shares of the page's width."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A plot."""

    plot: Plot


Block = Title | Heading | Paragraph | Numbers | ReportTable | Figure


def report_blocks(report: MonthlyReport) -> list[Block]:
    """Return the report from top to bottom."""
    return [
        *_summary(report),
        *_findings(report),
        *_months(report),
        *_groups(report),
        *_drift(report),
        *_models(report),
        *_method(),
    ]


def _summary(report: MonthlyReport) -> Iterator[Block]:
    yield Title(
        text=f"Draft reports against signed reports, {report.month}",
        under=f"ECHO Agent {report.version}, made {report.made_at:%Y-%m-%d %H:%M} UTC"
        + (f", model {report.model[:16]}" if report.model else ""),
    )
    counts = report.counts
    yield Numbers(
        pairs=[
            ("drafts", f"{counts.drafts}"),
            ("of them in shadow", f"{counts.in_shadow}"),
            ("signed reports received", f"{counts.reports}"),
            ("drafts compared", f"{counts.compared}"),
            ("with a disagreement", f"{counts.with_disagreement}"),
        ]
    )
    if report.whole is None:
        yield Paragraph(text="No draft of this month has been compared with a signed report yet.")
    else:
        rate = report.whole.undisputed
        yield Paragraph(
            text=f"In {_percent(rate)} of the studies, draft and signed report disagree in no finding."
        )
    drift = len(report.alarms)
    yield Paragraph(
        text="No drift alarm was raised in this month."
        if not drift
        else f"{drift} drift alarm{'s were' if drift > 1 else ' was'} raised in this month; see “Drift”."
    )
    for code, number in sorted(counts.not_compared.items()):
        yield Paragraph(
            text=f"{number} signed reports were not compared: {code.replace('-', ' ')}.", soft=True
        )


def _findings(report: MonthlyReport) -> Iterator[Block]:
    if report.whole is None:
        return
    yield Heading(text="Findings")
    yield Figure(plot=forest(report.whole.concepts))
    yield ReportTable(
        head=("Finding", "both", "draft only", "report only", "sensitivity", "specificity", "PPV", "kappa"),
        rows=[_finding_row(one) for one in report.whole.concepts],
        widths=(0.2, 0.07, 0.08, 0.09, 0.17, 0.17, 0.15, 0.07),
    )
    stated = [one for one in report.whole.concepts if one.side.total or one.severity.total]
    if stated:
        yield Heading(text="Side and severity")
        yield Paragraph(text="Of the studies in which both texts say present and both state one.", soft=True)
        yield ReportTable(
            head=("Finding", "same side", "studies", "same severity", "studies"),
            rows=[
                (
                    spoken(one.concept),
                    _share(one.side),
                    f"{one.side.total}",
                    _share(one.severity),
                    f"{one.severity.total}",
                )
                for one in stated
            ],
            widths=(0.28, 0.24, 0.12, 0.24, 0.12),
        )


def _finding_row(one: ConceptAccuracy) -> Sequence[str]:
    return (
        spoken(one.concept),
        f"{one.true_positive}",
        f"{one.false_positive}",
        f"{one.false_negative}",
        _share(one.sensitivity),
        _share(one.specificity),
        _share(one.ppv),
        "–" if one.kappa is None else f"{one.kappa:.2f}",
    )


def _months(report: MonthlyReport) -> Iterator[Block]:
    if report.months:
        yield Heading(text="Over the months")
        yield Figure(plot=undisputed_months(report.months, report.alarm_months))


def _groups(report: MonthlyReport) -> Iterator[Block]:
    if report.whole is None:
        return
    yield Heading(text="Sites, devices and models")
    rows = [
        (kind, _name(group), f"{group.studies}", _share(group.undisputed))
        for kind, groups in (("site", report.sites), ("device", report.devices), ("model", report.models))
        for group in groups
    ]
    yield ReportTable(
        head=("Kind", "Name", "studies", "without a disagreement"), rows=rows, widths=(0.1, 0.5, 0.12, 0.28)
    )


def _name(group: GroupAccuracy) -> str:
    return (group.name[:16] if group.grouping == "model" else group.name) or "not stated"


def _drift(report: MonthlyReport) -> Iterator[Block]:
    yield Heading(text="Drift")
    rule = report.rule
    yield Paragraph(
        text=f"Of each device the first {rule.baseline} drafts are the baseline. Every rate is charted "
        f"upwards and downwards for a {ODDS_RATIO:g}-fold change of the odds; without a change the "
        f"probability of any alarm of a device in {rule.studies} further drafts is at most "
        f"{rule.false_alarm:.0%}.",
        soft=True,
    )
    if not report.alarms:
        yield Paragraph(text="No alarm in this month.")
        return
    yield ReportTable(
        head=("When (UTC)", "Device", "What", "before", "now", "drafts"),
        rows=[_alarm_row(one) for one in report.alarms],
        widths=(0.17, 0.31, 0.26, 0.09, 0.09, 0.08),
    )


def _alarm_row(one: DriftAlarm) -> Sequence[str]:
    kind, _, what = one.event.partition(":")
    return (
        f"{one.at:%Y-%m-%d %H:%M}",
        one.stream,
        f"{kind}: {spoken(what)} {one.direction}",
        f"{one.before:.1%}",
        f"{one.rate:.1%}",
        f"{one.studies}",
    )


def _models(report: MonthlyReport) -> Iterator[Block]:
    if report.calibration is not None:
        yield Heading(text="Calibrated probabilities")
        digest, fitted = report.calibration.digest[:16], report.calibration.calibration.fitted
        yield Paragraph(text=f"Calibration {digest}, fitted on {fitted} findings, judged on others.")
        yield Figure(plot=reliability_plot(report.calibration.reliability))
    if report.paired is not None and report.paired.concepts:
        yield Heading(text="The challenger beside the main model")
        yield from _paired(report.paired)
    if report.switches:
        yield Heading(text="Switches of the model")
        yield ReportTable(
            head=("When (UTC)", "To", "Who", "Why"),
            rows=[
                (f"{one.at:%Y-%m-%d %H:%M}", f"{one.place} {one.to_digest[:12]}", one.actor, one.reason)
                for one in report.switches
            ],
            widths=(0.18, 0.26, 0.18, 0.38),
        )


def _paired(paired: PairedResult) -> Iterator[Block]:
    yield Paragraph(
        text=f"{paired.studies} studies were drafted by both and have a signed report. The p value is that "
        "of McNemar's exact test.",
        soft=True,
    )
    yield ReportTable(
        head=("Finding", "both right", "only main", "only challenger", "both wrong", "p"),
        rows=[
            (
                spoken(one.concept),
                f"{one.both_right}",
                f"{one.only_first}",
                f"{one.only_second}",
                f"{one.both_wrong}",
                f"{one.p_value:.3f}",
            )
            for one in paired.concepts
        ],
        widths=(0.3, 0.14, 0.14, 0.18, 0.14, 0.1),
    )


def _method() -> Iterator[Block]:
    yield Heading(text="Method", new_page=True)
    for text in METHOD:
        yield Paragraph(text=text)


def _share(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "–"
    return f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"


def _percent(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "none"
    return f"{rate.value:.0%} (95 % interval {rate.low:.0%} to {rate.high:.0%})"
