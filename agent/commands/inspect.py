"""Commands that check the machine, and print the service's metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import ConfigOption, JsonOption, console, database_of, print_json, settings_of

if TYPE_CHECKING:
    from agent.commands.doctor import Check

MARKS = {"right": "[green]✓[/]", "look": "[yellow]![/]", "wrong": "[red]✗[/]"}


def metrics(config: ConfigOption = None) -> None:
    """Print the same metrics as /metrics of the web page, for a collector that reads a file."""
    from agent.operations.metrics import exposition
    from agent.operations.status import read_status

    settings = settings_of(config)
    print(exposition(read_status(database_of(settings), settings), settings).decode(), end="")


def doctor(
    config: ConfigOption = None,
    send_test: Annotated[
        bool,
        typer.Option(
            "--send-test",
            help="Also send a pair of test documents about a test patient to each PACS, look for them in the "
            "archive, and withdraw them if the PACS accepts rejection notes.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check this machine and the configuration; every check says what to do. Exit status 1: one fails."""
    from itertools import chain

    from rich.markup import escape

    from agent.commands.doctor import CheckResult, examine
    from agent.foundation.log import configure_logging
    from agent.service.wiring import open_database

    settings = settings_of(config)
    configure_logging(settings.log)
    screen, checks = console(), []
    tests: Iterable[Check] = ()
    if send_test:
        from agent.commands.doctor_test_object import send_tests

        tests = send_tests(settings)
    for check in chain(examine(settings, lambda: open_database(settings)), tests):
        checks.append(check)
        if not as_json:
            screen.print(f"{MARKS[check.verdict]} {escape(check.name)}: {escape(check.found)}")
            if check.remedy:
                screen.print(f"    {escape(check.remedy)}")
    if as_json:
        print_json({"checks": checks})
    if any(check.verdict is CheckResult.WRONG for check in checks):
        raise typer.Exit(1)
