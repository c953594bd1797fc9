"""How the service is, and whether this machine is right for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agent.commands.common import ConfigOption, JsonOption, console, database_of, print_json, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from agent.health import Problem
    from agent.status import Latency, Status

MARKS = {"right": "[green]✓[/]", "look": "[yellow]![/]", "wrong": "[red]✗[/]"}


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how the service is. Exit status: 0 well, 1 look at it, 2 it does not work."""
    from agent.commands.as_json import plain
    from agent.health import judge, worst
    from agent.status import read_status

    settings = settings_of(config)
    found = read_status(database_of(settings), settings)
    problems = judge(found, settings)
    level = worst(problems)
    if as_json:
        print_json({"level": level, "problems": problems, **plain(found)})
    else:
        _print_status(console(), found, problems)
    raise typer.Exit(int(level))


def metrics(config: ConfigOption = None) -> None:
    """Print the metrics as /metrics of the web page has them, for a collector that reads a file."""
    from agent.metrics import exposition
    from agent.status import read_status

    settings = settings_of(config)
    print(exposition(read_status(database_of(settings), settings), settings).decode(), end="")


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and the configuration; every check says how to mend. Exit status 1: one fails."""
    from rich.markup import escape

    from agent.doctor import Verdict, examine
    from agent.log import configure_logging
    from agent.wiring import open_database

    settings = settings_of(config)
    configure_logging(settings.log)
    screen, checks = console(), []
    for check in examine(settings, lambda: open_database(settings)):
        checks.append(check)
        if not as_json:
            screen.print(f"{MARKS[check.verdict]} {escape(check.name)}: {escape(check.found)}")
            if check.mend:
                screen.print(f"    {escape(check.mend)}")
    if as_json:
        print_json({"checks": checks})
    if any(check.verdict is Verdict.WRONG for check in checks):
        raise typer.Exit(1)


def _print_status(screen: Console, found: Status, problems: tuple[Problem, ...]) -> None:
    from rich.markup import escape

    from agent.health import Level

    for problem in problems:
        mark = MARKS["wrong" if problem.level is Level.CRITICAL else "look"]
        screen.print(f"{mark} {escape(problem.text)} [dim]({problem.code})[/]")
    if not problems:
        screen.print(f"{MARKS['right']} all is well")
    screen.print()
    _print_processes(screen, found)
    _print_jobs(screen, found)
    _print_destinations(screen, found)
    screen.print(f"\nlast hour  {_latency(found.last_hour)}\nlast day   {_latency(found.last_day)}")
    free = "unknown" if found.disk_free_mb is None else f"{found.disk_free_mb / 1000:.1f} GB free"
    screen.print(f"disk       {free}\ndatabase   {found.database}")
    for trouble in found.troubles:
        why = ": ".join(part for part in (trouble.code, trouble.reason) if part)
        when = trouble.at.astimezone().strftime("%Y-%m-%d %H:%M")
        screen.print(f"{when}  job {trouble.job_id} {trouble.state}  {escape(why)}")


def _print_processes(screen: Console, found: Status) -> None:
    from rich.markup import escape

    for process in found.processes:
        if process.alive:
            about = ", ".join(
                f"{key} {value}" for key, value in process.about.items() if not isinstance(value, dict)
            )
            screen.print(f"{process.role:<10} {escape(process.id)}  {escape(about)}")


def _print_jobs(screen: Console, found: Status) -> None:
    from agent.status import COUNT_CAP

    counts = [
        f"{state} {count}{'+' if count >= COUNT_CAP else ''}" for state, count in found.jobs.items() if count
    ]
    screen.print(f"\njobs       {', '.join(counts) or 'none'}")
    if found.oldest_queued_s is not None:
        screen.print(f"oldest     queued for {found.oldest_queued_s:.0f} s")
    for title, groups in (
        ("skipped", found.skipped_last_day),
        ("set aside", found.quarantined_last_day),
    ):
        if groups:
            screen.print(
                f"{title:<10} {', '.join(f'{name} {count}' for name, count in groups.items())} (last day)"
            )


def _print_destinations(screen: Console, found: Status) -> None:
    from rich.markup import escape

    for destination in found.destinations:
        counts = ", ".join(f"{state} {count}" for state, count in destination.deliveries.items() if count)
        screen.print(f"to         {escape(destination.name)}: {counts or 'nothing yet'}")


def _latency(latency: Latency) -> str:
    if latency.last_image_to_drafted_p50 is None:
        return f"{latency.drafts} drafts"
    text = (
        f"{latency.drafts} drafts; last image to draft {latency.last_image_to_drafted_p50:.1f} s median, "
        f"{latency.last_image_to_drafted_p95:.1f} s p95"
    )
    if latency.last_image_to_stored_p50 is not None:
        text += (
            f"; to stored {latency.last_image_to_stored_p50:.1f} s median, "
            f"{latency.last_image_to_stored_p95:.1f} s p95"
        )
    return text
