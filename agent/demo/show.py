"""The demo on the terminal: live progress, and the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from agent.demo.outcome import DemoResult, Outcome, StudyResult, concepts
from agent.queue.states import JobState
from model.findings.types import Presence

COLOURS = {
    JobState.DELIVERED: "green",
    JobState.SKIPPED: "yellow",
    JobState.FAILED: "red",
    JobState.DEAD: "red",
}


class Screen:
    """Progress on standard error, so that standard output holds the result alone."""

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

    def update(self, stage: str, outcomes: Mapping[str, Outcome]) -> None:
        """Show a stage and how many studies stand where."""
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
        """Print the table, what was not accepted, and where the files lie."""
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
        console.print(f"files: {escape(str(result.output))}")


def _table(results: Sequence[StudyResult]) -> Table:
    table = Table(box=None, pad_edge=False, show_lines=False)
    for title in ("study", "state", "times (s)", "draft: present", "truth: present", "absent", "SR"):
        table.add_column(title, overflow="fold")
    for result in results:
        outcome = result.outcome
        colour = COLOURS.get(outcome.state, "white")
        why = escape(": ".join(part for part in (outcome.code, outcome.reason) if part))
        table.add_row(
            f"…{outcome.study_instance_uid[-8:]}",
            f"[{colour}]{outcome.state}[/]" + (f"\n{why}" if why and not outcome.text else ""),
            _times(outcome),
            _names(outcome.findings.get("present", ())),
            "" if result.truth is None else _names(concepts(result.truth, Presence.PRESENT)),
            _agreement(result),
            "\n".join(path.name for path in result.sr),
        )
    return table


def _times(outcome: Outcome) -> str:
    shown = [
        f"{name} {outcome.times[state.value]:.1f}"
        for name, state in (("queued", JobState.QUEUED), ("drafted", JobState.DRAFTED))
        if state.value in outcome.times
    ]
    if outcome.stored_s is not None:
        shown.append(f"stored {outcome.stored_s:.1f}")
    return "\n".join(shown)


def _names(keys: Sequence[str]) -> str:
    return "\n".join(key.replace("_", " ") for key in keys)


def _agreement(result: StudyResult) -> str:
    absent = result.outcome.findings.get("absent", ())
    if result.truth is None:
        return f"{len(absent)} stated"
    truth = set(concepts(result.truth, Presence.ABSENT))
    return f"{len(absent)} stated\n{len(truth & set(absent))} of {len(truth)} true"
