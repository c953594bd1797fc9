"""Commands for jobs that have stopped until a person acts: why, what to do, and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    actor,
    console,
    database_of,
    operator_context_of,
    print_json,
    record_command,
    settings_of,
)
from agent.commands.queue import JobArgument, print_job, shown_time, why_stopped

if TYPE_CHECKING:
    from agent.database.session import Database
    from agent.operations.history import JobLine

CodeOption = Annotated[
    str | None, typer.Option(help="Only those that stopped with this code, such as delivery-refused.")
]


def dead_list(
    config: ConfigOption = None,
    code: CodeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what is DEAD or FAILED, why, and what to do about it."""
    from rich.markup import escape

    from agent.operations.advice import advice_for

    lines = _stopped(database_of(settings_of(config)), code, limit)
    if as_json:
        print_json([{"job": line, "advice": advice_for(line.code)} for line in lines])
        return
    screen = console()
    for line in lines:
        since = shown_time(line.updated_at)
        screen.print(f"[bold]job {line.job_id}[/] {line.state} since {since}  {escape(why_stopped(line))}")
        screen.print(f"    study {line.study_instance_uid}")
        screen.print(f"    [green]→[/] {escape(advice_for(line.code))}")
    if not lines:
        screen.print("nothing is dead" if code is None else f"nothing is dead with the code {escape(code)}")


def dead_show(job: JobArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one stopped job: its steps, its deliveries, and what to do."""
    from agent.operations import history
    from agent.operations.advice import advice_for

    database = database_of(settings_of(config))
    found = history.job_history(database, job)
    record_command(database, "view", study=found.job.study_instance_uid)
    if as_json:
        print_json({"history": found, "advice": advice_for(found.job.code)})
        return
    print_job(found)
    print(f"\n→ {advice_for(found.job.code)}")


def dead_retry(
    jobs: Annotated[
        list[int] | None,
        typer.Argument(help="Numbers of jobs, as shown by `dead list`.", show_default=False),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All stopped jobs; with --code, those with this code.")
    ] = False,
    code: CodeOption = None,
    config: ConfigOption = None,
) -> None:
    """Retry stopped jobs, once the cause is corrected. Exit status 1: one could not be retried."""
    from agent.foundation.errors import AgentError
    from agent.queue import operator

    if not jobs and not everything:
        raise typer.BadParameter("name jobs, or use --all")
    context = operator_context_of(settings_of(config))
    numbers = jobs or [line.job_id for line in _stopped(context.database, code, 10_000)]
    failed = 0
    for number in numbers:
        try:
            state = operator.retry(context, number, actor=actor())
            print(f"job {number} is {state} again")
        except AgentError as error:
            failed += 1
            print(f"job {number}: {error} [{error.code}]")
    if not numbers:
        print("nothing is dead")
    if failed:
        raise typer.Exit(1)


def _stopped(database: Database, code: str | None, limit: int) -> list[JobLine]:
    from agent.database.states import JobState
    from agent.operations import history

    found = [
        line
        for state in (JobState.DEAD, JobState.FAILED)
        for line in history.list_jobs(database, state=state, code=code, limit=limit, for_a_person=True)
    ]
    return sorted(found, key=lambda line: line.updated_at, reverse=True)[:limit]
