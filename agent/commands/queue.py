"""Commands that show jobs and studies, and act on them."""

from __future__ import annotations

from datetime import datetime
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
from agent.foundation.counted import counted

if TYPE_CHECKING:
    from agent.operations.history import JobHistory, JobLine

JobArgument = Annotated[int, typer.Argument(help="Number of the job, as shown by `queue list`.")]


def list_jobs(
    config: ConfigOption = None,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state, such as DEAD.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the newest jobs."""
    from rich.table import Table

    from agent.database.states import JobState
    from agent.operations import history

    chosen = None
    if state is not None:
        try:
            chosen = JobState(state.upper())
        except ValueError as error:
            raise typer.BadParameter(f"the states are {', '.join(JobState)}", param_hint="--state") from error
    lines = history.list_jobs(database_of(settings_of(config)), state=chosen, limit=limit)
    if as_json:
        print_json(lines)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("job", "state", "since", "priority", "attempts", "why", "study"):
        table.add_column(column, overflow="fold", no_wrap=column not in ("why", "study"))
    for line in lines:
        table.add_row(
            str(line.job_id),
            line.state,
            shown_time(line.updated_at),
            str(line.priority),
            str(line.attempts),
            why_stopped(line),
            line.study_instance_uid,
        )
    console().print(table if lines else "no jobs")


def show(job: JobArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one job: its steps, its draft and its deliveries."""
    from agent.operations import history

    database = database_of(settings_of(config))
    found = history.job_history(database, job)
    record_command(database, "view", study=found.job.study_instance_uid)
    if as_json:
        print_json(found)
    else:
        print_job(found)


def retry(job: JobArgument, config: ConfigOption = None) -> None:
    """Retry a stopped job: send its draft, or draft it again if it has none."""
    from agent.queue import operator

    state = operator.retry(operator_context_of(settings_of(config)), job, actor=actor())
    print(f"job {job} is {state} again")


def cancel(
    job: JobArgument,
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option(help="Why, for the history. No patient's data, please.")] = "by hand",
) -> None:
    """Cancel a job and those of its documents that were not sent yet."""
    from agent.queue import operator

    operator.cancel(database_of(settings_of(config)), job, reason=reason, actor=actor())
    print(f"job {job} is CANCELED")


def prioritise(
    job: JobArgument,
    priority: Annotated[int, typer.Argument(min=0, max=100, help="Smaller runs first: 0 STAT, 50 routine.")],
    config: ConfigOption = None,
) -> None:
    """Change a job's place in the queue: let it overtake others, or wait for them."""
    from agent.queue import operator

    operator.prioritise(database_of(settings_of(config)), job, priority)
    print(f"job {job} has priority {priority}")


def show_study(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the whole history of one study: images, jobs, drafts and deliveries."""
    from agent.commands.as_json import plain
    from agent.foundation.log import study_ref
    from agent.operations import history

    database = database_of(settings_of(config))
    found = history.study_history(database, study)
    record_command(database, "view", study=study)
    if as_json:
        print_json({"study_ref": study_ref(found.study_instance_uid), **plain(found)})
        return
    print(f"study {found.study_instance_uid}, revision {found.revision}, from {found.calling_ae_title}")
    print(f"in the logs: study_ref {study_ref(found.study_instance_uid)}")
    if found.conflict:
        print(f"conflict: {found.conflict}")
    for one in found.instances:
        size = f"{one.size_bytes / 1e6:.1f} MB"
        kind = f"{one.modality or '?'} {one.view_position}".strip()
        print(f"  {shown_time(one.received_at)}  image {one.sop_instance_uid}  {kind}, {size}")
    for job in found.jobs:
        print()
        print_job(job)


def resolve(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit. No patient's data, please.")],
    patient_of: Annotated[
        str | None,
        typer.Option(help="SOP Instance UID of an image that names the right patient (`study show`)."),
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Two images arrived under one UID: the newest is right.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Decide whose study it is if its images name different patients, or which image counts."""
    from agent.queue import operator

    if newest == (patient_of is not None):
        raise typer.BadParameter("give either --patient-of or --newest")
    context = operator_context_of(settings_of(config))
    if patient_of is None:
        operator.accept_newest(context, study, reason=reason, actor=actor())
        print("the newest content of each image counts, and the conflict has ended")
        return
    state = operator.resolve(context, study, patient_of, reason=reason, actor=actor())
    print(f"the study is {state.value}")


def print_job(found: JobHistory) -> None:
    """Print the history of a job."""
    job = found.job
    print(f"job {job.job_id}, revision {job.revision}: {job.state} {why_stopped(job)}".rstrip())
    for step in found.steps:
        why = " ".join(part for part in (step.code, step.reason) if part)
        print(
            f"  {shown_time(step.at)}  {step.from_state or '*':>10} -> {step.to_state:<10}  "
            f"{step.actor}  {why}".rstrip()
        )
    for image in found.images:
        what = "read" if image["read"] else f"not read: {image['why']}"
        print(f"  image {image['sop_instance_uid']}  {image['view']} {image['projection']}, {what}")
    for flag in found.flags:
        print(f"  ! {flag}")
    for one in found.deliveries:
        why = " ".join(part for part in (one.code, one.reason) if part)
        when = shown_time(one.stored_at) if one.stored_at is not None else f"next {shown_time(one.run_after)}"
        if one.committed_at is not None:
            when = f"{when}, committed {shown_time(one.committed_at)}"
        if one.warning is not None:
            when = f"{when}, with the warning {one.warning}"
        if one.losses:
            when = f"{when}, lost there {counted(one.losses, 'time')}"
        tried = counted(one.attempts, "attempt")
        print(f"  {one.destination}: {one.role} {one.state}, {tried}, {when}  {why}".rstrip())
    if found.text:
        print(f"\n{found.model_name}:\n{found.text}")


def why_stopped(line: JobLine) -> str:
    """Return why a job is in its state."""
    return ": ".join(part for part in (line.code, line.reason) if part)


def shown_time(moment: datetime) -> str:
    """Return a moment in the machine's own time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
