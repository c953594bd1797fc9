"""The state of the service on one screen, for people and for monitoring."""

from __future__ import annotations

import dataclasses
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.common import ConfigOption, JsonOption, console, database_of, print_json, settings_of

if TYPE_CHECKING:
    from agent.foundation.settings.tree import Settings
    from agent.operations.health import Level, Problem
    from agent.operations.status import ServiceStatus


def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="With --watch: seconds between refreshes.")] = 5.0,
    echo: Annotated[
        bool,
        typer.Option(help="Test each destination now (C-ECHO); otherwise show the deliverer's last answers."),
    ] = True,
) -> None:
    """Show the state of the service. Exit status: 0 all is well, 1 needs attention, 2 not working.

    The first line gives the overall state; every problem says what to do. The most important figure for
    readers is the time from a study's last image to its draft in the PACS.
    """
    if not watch:
        raise typer.Exit(_show(config, as_json=as_json, echo=echo))
    from rich.live import Live

    screen = console()
    try:
        if as_json or not screen.is_terminal:
            # Into a pipe or a file: one screen after the other, each written immediately.
            while True:
                _show_again(config, as_json=as_json, echo=echo, every_s=every)
                time.sleep(every)
        with Live(console=screen, auto_refresh=False, screen=True) as live:
            while True:
                live.update(_picture(config, echo=echo, every_s=every), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _show_again(config: Any, *, as_json: bool, echo: bool, every_s: float) -> None:
    if as_json:
        _show(config, as_json=True, echo=echo)
    else:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        console().print(now, _picture(config, echo=echo, every_s=every_s), "", sep="\n")
    sys.stdout.flush()


def _show(config: Any, *, as_json: bool, echo: bool) -> int:
    from agent.commands.as_json import plain
    from agent.commands.status_screen import screen_of
    from agent.foundation.errors import DatabaseUnavailable
    from agent.operations.health import Level

    settings = settings_of(config)
    try:
        found, problems, level = look(settings, echo=echo)
    except DatabaseUnavailable as error:
        if not as_json:
            raise
        # A program that reads the output always gets an answer, whatever is wrong.
        problem = {"level": Level.CRITICAL, "code": error.code, "text": str(error)}
        print_json({"level": Level.CRITICAL, "problems": [problem]})
        return int(Level.CRITICAL)
    if as_json:
        print_json({"level": level, "problems": problems, **plain(found)})
    else:
        console().print(screen_of(found, problems, settings))
    return int(level)


def _picture(config: Any, *, echo: bool, every_s: float) -> Any:
    from agent.commands.status_screen import failure_of, screen_of
    from agent.foundation.errors import DatabaseUnavailable

    settings = settings_of(config)
    try:
        found, problems, _ = look(settings, echo=echo)
    except DatabaseUnavailable as error:
        return failure_of(error)
    return screen_of(found, problems, settings, every_s=every_s)


def look(settings: Settings, *, echo: bool) -> tuple[ServiceStatus, tuple[Problem, ...], Level]:
    """Read the status, test the destinations if `echo`, and evaluate."""
    from agent.operations.health import judge, worst
    from agent.operations.status import read_status

    # Opened for each refresh, and closed after it: a database that was down may be back at the next one.
    database = database_of(settings)
    try:
        found = read_status(database, settings)
    finally:
        database.close()
    if echo and settings.destinations:
        from agent.foundation.log import configure_logging
        from agent.operations.probe import ask_all

        # Before pynetdicom is imported: its loggers and warnings quote what peers say.
        configure_logging(settings.log.model_copy(update={"level": "error"}))
        answers = ask_all(settings.destinations)
        found = dataclasses.replace(
            found,
            destinations=tuple(
                dataclasses.replace(one, answer=answers.get(one.name, one.answer))
                for one in found.destinations
            ),
        )
    problems = judge(found, settings)
    return found, problems, worst(problems)
