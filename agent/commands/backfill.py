"""`echo-agent backfill`: drafts of the archive's old studies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    console,
    database_of,
    print_json,
    settings_of,
)
from agent.commands.run import WithParent, begin
from model.evaluate.engines.engine import OfflineEngine, Workers

if TYPE_CHECKING:
    from agent.retrieve.backfill.progress import Progress

_DAY = ["%Y-%m-%d"]
_FIRST_XRAY = date(1895, 11, 8)


def offline(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", exists=True, help="DICOM files, or folders of them; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the set: Parquet parts and documents.")
    ] = None,
    engine: Annotated[
        OfflineEngine, typer.Option(help="Where to draft: in this process, or on a Ray cluster.")
    ] = OfflineEngine.PLAIN,
    workers: Annotated[int, typer.Option(min=1, help="Ray workers, each with the network.")] = 2,
    address: Annotated[
        str, typer.Option(help="HOST:PORT of a running Ray cluster; a local one is started if left out.")
    ] = "",
    gpus: Annotated[
        float | None, typer.Option(min=0, help="GPUs of each Ray worker; 1 if there is one, else 0.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each worker.")] = 1,
    created: Annotated[
        datetime | None, typer.Option(help="Time in all documents of a new set; now if left out.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drafts of the archive's old studies; with --files, drafts of a set of files without the queue.

    An interrupted set continues where it stopped. Exit status 1: a study could not be drafted.
    """
    if context.invoked_subcommand is not None:
        if files or output is not None:
            raise typer.BadParameter("--files and --output are for a set of files, without a command")
        return
    if not files or output is None:
        raise typer.BadParameter(
            "give --files and --output for a set of files, or a command: plan, run, status, stop or resume"
        )
    if engine is OfflineEngine.PLAIN and (address or gpus is not None):
        raise typer.BadParameter("--address and --gpus are for --engine ray", param_hint="--engine")
    from agent.commands.backfill_offline import draft_set
    from agent.foundation.log import configure_logging

    settings = settings_of(config)
    configure_logging(settings.log)
    counted = draft_set(
        files,
        output,
        settings,
        Workers(engine=engine, count=workers, address=address, gpus=gpus),
        threads=threads,
        created=created,
    )
    if as_json:
        print_json(dict(counted))
    else:
        print("\n".join(f"{state}: {count}" for state, count in sorted(counted.items())))
    if counted["FAILED"]:
        raise typer.Exit(1)


def plan(
    since: Annotated[datetime, typer.Option(formats=_DAY, help="First study date.")],
    until: Annotated[datetime, typer.Option(formats=_DAY, help="Last study date.")],
    config: ConfigOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Query days again that were queried before, and retry failures.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Query the archive and count; store and retrieve nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Plan the study dates to query in the archive; `backfill run` carries the plan out."""
    from agent.retrieve.backfill.planning import make_plan, new_slices
    from agent.retrieve.backfill.slices import cut

    settings = settings_of(config)
    database = database_of(settings)
    first, last = _days(since, until)
    if dry_run:
        backfill = settings.backfill
        everything = cut(first, last, backfill.modalities, backfill.slice_days)
        said = _rehearse(settings, everything if again else new_slices(database, backfill, first, last))
    else:
        made = make_plan(database, settings.backfill, first, last, again=again)
        said = {
            "queries": len(made.new),
            "opened_queries": made.opened_slices,
            "opened_studies": made.opened_studies,
        }
    if as_json:
        print_json(said)
        return
    print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in said.items()))
    if not said["queries"] and not again:
        print("these days are planned already; `--again` queries them again")


def _days(since: datetime, until: datetime) -> tuple[date, date]:
    """Return the range of days if it can be one of X-ray images: a mistyped year is centuries of queries."""
    first, last = since.date(), until.date()
    if last < first:
        raise typer.BadParameter("it is before --since", param_hint="--until")
    if first < _FIRST_XRAY:
        raise typer.BadParameter("there is no X-ray image before 1895-11-08", param_hint="--since")
    if last > datetime.now().astimezone().date() + timedelta(days=1):
        raise typer.BadParameter(
            "it is in the future, and its days would count as queried", param_hint="--until"
        )
    return first, last


def run(
    config: ConfigOption = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Wait for further plans at the end, and while the backfill is stopped."
        ),
    ] = False,
    end_with_parent: WithParent = False,
) -> None:
    """Query and retrieve what is planned, within the budget in the settings, until all is done.

    Start it again after any interruption: it continues where it stopped. Without --follow it also undoes a
    stop, and says at the end what became of the studies; exit status 1: some were given up.
    """
    from agent.foundation.backfill_errors import BackfillNotReady
    from agent.retrieve.backfill.progress import read_progress
    from agent.service.backfill import run_backfill

    settings, lifecycle = begin("backfill", config, end_with_parent=end_with_parent)
    database = database_of(settings)
    if not follow and not read_progress(database, settings.backfill).planned:
        raise BackfillNotReady("nothing is planned: `echo-agent backfill plan --since … --until …`")
    run_backfill(settings, database, lifecycle, follow=follow)
    progress = None if follow or lifecycle.restart else read_progress(database, settings.backfill)
    database.close()
    lifecycle.finish()
    if progress is not None and not _print_end(progress):
        raise typer.Exit(1)


def _print_end(progress: Progress) -> bool:
    """Print what became of the queries and studies; return whether none was given up."""
    for what, counts in (("queries", progress.slices), ("studies", progress.studies)):
        print(f"{what}: {_listed(counts)}")
    if progress.open_slices or progress.open_studies:
        print("not done: `echo-agent backfill run` continues")
    if not (progress.slices.get("DEAD") or progress.studies.get("DEAD")):
        return True
    print("DEAD: `echo-agent backfill status` has the reasons, `backfill plan … --again` tries them again")
    return False


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in sorted(counts.items())) or "-"


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the progress of the backfill, its rate, and the remaining time."""
    from agent.retrieve.backfill.progress import read_progress

    settings = settings_of(config)
    progress = read_progress(database_of(settings), settings.backfill)
    if as_json:
        print_json(_as_dict(progress))
        return
    for name, value in _as_dict(progress).items():
        if isinstance(value, dict):
            value = _listed(value)
        console().print(f"{name.replace('_', ' ')}: {'-' if value is None else value}", highlight=False)


def stop(
    config: ConfigOption = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Also give up all open queries and retrievals.")
    ] = False,
) -> None:
    """Stop the backfill after the present retrievals; `backfill resume` continues it."""
    from agent.retrieve.backfill.planning import stop as stop_all

    dropped = stop_all(database_of(settings_of(config)), drop=drop)
    print("the backfill stops" + (f"; {dropped} open queries and studies were dropped" if drop else ""))


def resume(config: ConfigOption = None) -> None:
    """Undo a stop: a process that runs with --follow continues."""
    from agent.retrieve.backfill.planning import go

    go(database_of(settings_of(config)))
    print("the backfill is not stopped")


def _rehearse(settings: Any, slices: Any) -> dict[str, Any]:
    from collections import Counter
    from datetime import UTC

    from agent.foundation.backfill_errors import BackfillNotReady
    from agent.retrieve.backfill.archive import DatedArchive
    from agent.retrieve.backfill.progress import hours_for
    from agent.retrieve.backfill.rehearsal import rehearse

    if settings.archive is None:
        raise BackfillNotReady("set `archive`, the archive to query")
    counted: Counter[str] = rehearse(
        settings, DatedArchive(settings.archive, settings.backfill, None), slices
    )
    hours = hours_for(counted["candidates"], settings.backfill, datetime.now(UTC))
    return {**counted, "hours": hours}


def _as_dict(progress: Progress) -> dict[str, Any]:
    return {
        "stopped": progress.stopped,
        "window_open": progress.window_open,
        "window_changes_at": progress.window_changes_at,
        "queries": dict(progress.slices),
        "studies": dict(progress.studies),
        "jobs": dict(progress.jobs),
        "reasons": dict(progress.codes),
        "studies_per_minute": progress.per_minute,
        "hours_left": progress.hours_left,
    }
