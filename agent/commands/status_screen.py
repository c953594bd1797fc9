"""The status as one screen of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agent.foundation.counted import counted
from agent.operations.health import Level, disk_level, worst
from agent.operations.status import COUNT_CAP

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agent.foundation.errors import AgentError
    from agent.foundation.settings.tree import Settings
    from agent.operations.backfill_counts import BackfillCounts
    from agent.operations.health import Problem
    from agent.operations.status import DestinationStatus, Latency, ProbeAnswer, ProcessStatus, ServiceStatus
    from agent.operations.throughput import Throughput

MARKS = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.CRITICAL: "[red]✗[/]"}
WORDS = {
    Level.OK: "[bold green]OK[/]",
    Level.WARNING: "[bold yellow]WARNING[/]",
    Level.CRITICAL: "[bold red]CRITICAL[/]",
}
TROUBLES_SHOWN = 5


def screen_of(
    status: ServiceStatus, problems: Sequence[Problem], settings: Settings, *, every_s: float | None = None
) -> RenderableType:
    """Return the screen: the level, the problems, the figures, the last errors."""
    from rich.console import Group

    lines = [_headline(status, problems, every_s)]
    lines.extend(f"{MARKS[one.level]} {escape(one.text)} [dim]({one.code})[/]" for one in problems)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for title, text in _rows(status, settings):
        table.add_row(title, text)
    return Group(*lines, "", table, *_troubles(status))


def failure_of(error: AgentError) -> RenderableType:
    """Return the screen for when the status cannot be read."""
    return Text.from_markup(f"{WORDS[Level.CRITICAL]} {escape(str(error))} [dim]({error.code})[/]")


def _headline(status: ServiceStatus, problems: Sequence[Problem], every_s: float | None) -> str:
    count = len(problems)
    what = "all is well" if not count else f"{count} {'problem' if count == 1 else 'problems'}"
    again = "" if every_s is None else f", again every {every_s:g} s (Ctrl-C ends)"
    moment = status.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{WORDS[worst(problems)]} {what}  [dim]ECHO Agent {status.version}, {moment}{again}[/]"


def _rows(status: ServiceStatus, settings: Settings) -> Iterator[tuple[str, str]]:
    yield "last image → PACS", _span(status, "stored")
    yield "last image → draft", _span(status, "drafted")
    yield "last hour", _passed(status.throughput_last_hour)
    yield "last day", _passed(status.throughput_last_day)
    yield "queue", _queue(status)
    if status.backfill is not None:
        yield "backfill", _backfill(status.backfill)
    for title, groups in (("skipped", status.skipped_last_day), ("set aside", status.quarantined_last_day)):
        if groups:
            counts = ", ".join(f"{escape(name)} {_count(count)}" for name, count in groups.items())
            yield title, f"{counts} (last day)"
    for sender in status.skipped_words:
        lines = [escape(text) for text in sender.texts]
        if sender.config_lines:
            lines.append(f"to accept them: {escape(' '.join(sender.config_lines.split()))}")
        yield f"words of {escape(sender.sender)}", "\n".join(lines)
    for process in status.processes:
        yield process.role, _process(process)
    for destination in status.destinations:
        yield "→ " + escape(destination.name), _destination(destination)
    yield "disk", _disk(status, settings)
    size = "" if status.database_mb is None else f", {status.database_mb:,.1f} MB"
    yield "database", f"{MARKS[Level.OK]} {status.database}{size}"


def _span(status: ServiceStatus, target: str) -> str:
    parts = [
        f"{title} {_latency(latency, target)}"
        for title, latency in (("hour", status.last_hour), ("day", status.last_day))
    ]
    return "; ".join(parts)


def _latency(latency: Latency, target: str) -> str:
    values = [getattr(latency, f"last_image_to_{target}_p{rank}") for rank in (50, 95, 99)]
    if values[0] is None:
        return "–"
    return "{} median, {} p95, {} p99".format(*(_seconds(value) for value in values))


def _seconds(value: float) -> str:
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _passed(passed: Throughput) -> str:
    names = ("received", "drafted", "delivered", "skipped", "failed", "dead")
    return ", ".join(
        f"{getattr(passed, name)} {name}" for name in names if getattr(passed, name) or name in names[:3]
    )


def _count(count: int) -> str:
    return f"{count}+" if count >= COUNT_CAP else str(count)


def _queue(status: ServiceStatus) -> str:
    counts = [f"{state} {_count(count)}" for state, count in status.jobs.items() if count]
    ages = [
        f"oldest {word} for {_seconds(age)}"
        for word, age in (("queued", status.oldest_queued_s), ("receiving", status.oldest_receiving_s))
        if age is not None
    ]
    return "; ".join([", ".join(counts) or "empty", *ages])


def _backfill(found: BackfillCounts) -> str:
    counts = ", ".join(f"{state} {count}" for state, count in sorted(found.studies.items()))
    asked = counted(sum(found.queries.values()), "query", "queries")
    return f"{counts or 'no study found yet'}; {asked}{', stopped' if found.stopped else ''}"


def _process(process: ProcessStatus) -> str:
    if not process.alive:
        return f"[dim]{escape(process.id)} ended without a word, {_seconds(process.silent_s)} ago[/]"
    return f"{MARKS[Level.OK]} {escape(', '.join((process.id, *_about(process.about))))}"


def _about(about: Any) -> Iterator[str]:
    """Yield what a process reports about itself that is shown on this screen."""
    if "ae_title" in about:
        yield f"{about['ae_title']} port {about.get('port')}"
        yield counted(about.get("associations", 0), "association")
        if "hl7" in about:
            told = about["hl7"]
            yield f"HL7 port {told.get('port')}, {counted(told.get('messages', 0), 'message')}"
    elif "model" in about:
        yield f"{about['model']} {about.get('version', '')} on {about.get('device', '?')}".replace("  ", " ")
        if about.get("demonstration"):
            yield "DEMONSTRATION MODEL"
        if "gpu_memory_total" in about:
            used, total = about["gpu_memory_used"], about["gpu_memory_total"]
            yield f"GPU memory {used / 1e9:.0f} of {total / 1e9:.0f} GB"
        if "slots" in about:
            yield counted(about["slots"], "slot")
    elif "host" in about:
        yield f"{about['host']}:{about.get('port')}"


def _destination(destination: DestinationStatus) -> str:
    counts = ", ".join(f"{state} {_count(count)}" for state, count in destination.deliveries.items() if count)
    waiting = destination.oldest_waiting_s
    ages = () if waiting is None else (f"oldest waiting for {_seconds(waiting)}",)
    return "; ".join([_answer(destination.answer), counts or "nothing sent yet", *ages])


def _answer(answer: ProbeAnswer | None) -> str:
    if answer is None:
        return "[dim]not asked yet[/]"
    mark = MARKS[Level.OK if answer.reachable else Level.WARNING]
    return f"{mark} {escape(answer.words)}"


def _disk(status: ServiceStatus, settings: Settings) -> str:
    if status.disk_free_mb is None:
        return f"{MARKS[Level.CRITICAL]} {escape(str(settings.storage.path))} cannot be read"
    least = settings.storage.min_free_mb
    mark = MARKS[disk_level(status.disk_free_mb, least)]
    return f"{mark} {status.disk_free_mb / 1000:.1f} GB free; senders wait below {least / 1000:.1f} GB"


def _troubles(status: ServiceStatus) -> Iterator[str]:
    if status.troubles:
        yield "\n[bold]last errors[/]"
    for trouble in status.troubles[:TROUBLES_SHOWN]:
        why = ": ".join(part for part in (trouble.code, trouble.reason) if part)
        when = trouble.at.astimezone().strftime("%m-%d %H:%M")
        yield f"{when}  job {trouble.job_id} {trouble.state}  {escape(why)}"
        yield f"             [green]→[/] {escape(trouble.advice)}"
