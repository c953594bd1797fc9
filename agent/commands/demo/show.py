"""The demo on the terminal: live progress, and the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from agent.commands.demo.outcome import DemoOutcome, DemoResult, StudyResult, concepts
from agent.database.states import JobState
from model.findings.types import Presence

COLOURS = {
    JobState.DELIVERED: "green",
    JobState.SKIPPED: "yellow",
    JobState.FAILED: "red",
    JobState.DEAD: "red",
}


class Screen:
    """Progress on standard error, so that standard output contains only the result."""

    def __init__(self, *, expected: int | None) -> None:
        self._expected = expected
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[states]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=expected, states="")

    def __enter__(self) -> Screen:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()

    def update(self, stage: str, outcomes: Mapping[str, DemoOutcome]) -> None:
        """Show a stage and how many studies are in each state."""
        counts = Counter(one.state.value for one in outcomes.values())
        states = "  ".join(f"{state} {counts[state.value]}" for state in JobState if counts[state.value])
        self._progress.update(
            self._task,
            description=stage,
            states=states,
            total=self._expected or len(outcomes) or None,
            completed=sum(one.ended for one in outcomes.values()),
        )

    def summary(self, result: DemoResult) -> None:
        """Print the table, what was not accepted, and where the files are."""
        console = Console(highlight=False)
        console.print(_table(result.results))
        for one in result.objects:
            if not one.accepted:
                console.print(f"not accepted: {escape(one.label)}: {escape(one.reason)}")
        model = result.model
        if model.get("demonstration"):
            console.print("[bold yellow]DEMONSTRATION MODEL – NOT FOR CLINICAL USE[/]")
        console.print(
            f"{result.delivered} delivered, {result.skipped} skipped, {result.failed} failed; "
            f"{model.get('name')}, block size {model.get('block_size')}, "
            f"{model.get('forwards_per_report')} forwards per report"
        )
        if any(one.order is not None for one in result.results):
            console.print(_orders(result.results))
        console.print(f"files: {escape(str(result.output))}")


def _table(results: Sequence[StudyResult]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for title in ("study", "seconds", "present: draft and truth", "absent", "SRs"):
        table.add_column(title, overflow="fold")
    for result in results:
        outcome = result.outcome
        colour = COLOURS.get(outcome.state, "white")
        why = escape(": ".join(part for part in (outcome.code, outcome.reason) if part))
        table.add_row(
            f"…{outcome.study_instance_uid[-8:]}\n[{colour}]{outcome.state}[/]"
            + (f"\n{why}" if why and not outcome.text else ""),
            _times(outcome),
            _present(result),
            _absent(result),
            "\n".join(path.stem for path in result.sr),
        )
    return table


def _orders(results: Sequence[StudyResult]) -> Table:
    """The RIS's view: what was ordered, and the messages received about it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), title="RIS", title_justify="left")
    for title in ("order", "question", "messages: type, OBR-25, first line"):
        table.add_column(title, overflow="fold")
    for result in results:
        if result.order is None:
            continue
        came = [
            " ".join(part for part in (one.type, one.status, next(iter(one.lines), "")) if part)
            for one in result.received
        ]
        table.add_row(
            f"{escape(result.order.placer_number)}\npriority {result.order.priority}",
            escape(result.order.question),
            escape("\n".join(came)) or "none",
        )
    return table


def _times(outcome: DemoOutcome) -> str:
    shown = [
        f"{outcome.times[state.value]:5.1f} {name}"
        for name, state in (("queued", JobState.QUEUED), ("drafted", JobState.DRAFTED))
        if state.value in outcome.times
    ]
    if outcome.stored_s is not None:
        shown.append(f"{outcome.stored_s:5.1f} stored")
    return "\n".join(shown)


def _present(result: StudyResult) -> str:
    """Name what the draft states as present; given the truth, also what it missed and what it added."""
    stated = result.outcome.findings.get("present", ())
    if result.truth is None or not result.outcome.text:
        return "\n".join(_name(key) for key in stated)
    truth = concepts(result.truth, Presence.PRESENT)
    return "\n".join(
        [
            *(f"[green]✓ {_name(key)}[/]" for key in truth if key in stated),
            *(f"[red]− {_name(key)} (missed)[/]" for key in truth if key not in stated),
            *(f"[red]+ {_name(key)} (not there)[/]" for key in stated if key not in truth),
        ]
    )


def _name(key: str) -> str:
    return key.replace("_", " ")


def _absent(result: StudyResult) -> str:
    absent = result.outcome.findings.get("absent", ())
    if result.truth is None:
        return f"{len(absent)} stated"
    truth = set(concepts(result.truth, Presence.ABSENT))
    return f"{len(truth & set(absent))} of {len(truth)}"
