"""Whether this machine is right for the service, and the service's metrics."""

from __future__ import annotations

import typer

from agent.commands.common import ConfigOption, JsonOption, console, database_of, print_json, settings_of

MARKS = {"right": "[green]✓[/]", "look": "[yellow]![/]", "wrong": "[red]✗[/]"}


def metrics(config: ConfigOption = None) -> None:
    """Print the metrics as /metrics of the web page has them, for a collector that reads a file."""
    from agent.operations.metrics import exposition
    from agent.operations.status import read_status

    settings = settings_of(config)
    print(exposition(read_status(database_of(settings), settings), settings).decode(), end="")


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and the configuration; every check says how to mend. Exit status 1: one fails."""
    from rich.markup import escape

    from agent.commands.doctor import CheckResult, examine
    from agent.foundation.log import configure_logging
    from agent.service.wiring import open_database

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
    if any(check.verdict is CheckResult.WRONG for check in checks):
        raise typer.Exit(1)
