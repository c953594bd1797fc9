"""Removes received image files by hand, or shows what would be removed and why the rest stays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    actor,
    console,
    database_of,
    print_json,
    settings_of,
)
from agent.foundation.counted import counted

if TYPE_CHECKING:
    from agent.operations.retention.purge import Purge, Purged, PurgeDecision

SHOWN = 40


def purge(
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="DAYS",
            help="Minimum age in days instead of the ages in `retention`; all its other rules apply.",
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every study, not only the first few.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove image files as the `retention` rules allow, oldest first. Rows, drafts and documents stay."""
    from functools import partial

    from agent.foundation.disk import free_mb
    from agent.foundation.log import configure_logging
    from agent.operations.retention.purge import Purge
    from agent.service.wiring import open_store

    settings = settings_of(config)
    configure_logging(settings.log)
    database = database_of(settings)
    work = Purge(
        database,
        settings,
        open_store(settings),
        partial(free_mb, settings.storage.path),
        actor=actor(),
        older_than=None if older_than is None else timedelta(days=older_than),
    )
    done = None if dry_run else work.run()
    # After a purge the plan shows what stayed, and why.
    shown, counts, sizes = _summary(work, None if show_all else SHOWN)
    if as_json:
        print_json(_as_plain(done, shown, counts, sizes))
    else:
        _print(done, shown, counts, sizes)
    database.close()


def _summary(
    work: Purge, most: int | None
) -> tuple[list[PurgeDecision], Counter[str], dict[str, tuple[int, float]]]:
    """Return the first studies to be purged, then the first that stay; and studies, files and MB by
    reason.
    """
    going: list[PurgeDecision] = []
    staying: list[PurgeDecision] = []
    studies: Counter[str] = Counter()
    sizes: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for decision in work.plan():
        facts, reason = decision.facts, decision.reason.value
        studies[reason] += 1
        files, size_mb = sizes[reason]
        sizes[reason] = files + facts.files, size_mb + facts.size_bytes / 1e6
        chosen = going if decision.purges else staying
        if most is None or len(chosen) < most:
            chosen.append(decision)
    return (going + staying)[:most], studies, dict(sizes)


def _as_plain(
    done: Purged | None,
    shown: Iterable[PurgeDecision],
    counts: Counter[str],
    sizes: dict[str, tuple[int, float]],
) -> dict[str, Any]:
    return {
        "dry_run": done is None,
        "purged": done,
        "reasons": {
            reason: {"studies": count, "files": sizes[reason][0], "size_mb": round(sizes[reason][1], 3)}
            for reason, count in counts.items()
        },
        "studies": [
            {
                "study_instance_uid": one.facts.study_instance_uid,
                "goes": one.purges,
                "reason": one.reason,
                "files": one.facts.files,
                "size_mb": round(one.facts.size_bytes / 1e6, 3),
                "last_step_at": one.facts.last_step_at,
            }
            for one in shown
        ],
    }


def _print(
    done: Purged | None,
    shown: Iterable[PurgeDecision],
    counts: Counter[str],
    sizes: dict[str, tuple[int, float]],
) -> None:
    from rich.table import Table

    from agent.operations.retention.rules import PURGES, WORDS, Reason

    screen = console()
    if done is not None:
        aside = f", and {counted(done.quarantined, 'object')} of the quarantine" if done.quarantined else ""
        screen.print(
            f"removed {counted(done.files, 'file')} of {counted(done.studies, 'study', 'studies')}, "
            f"{done.size_bytes / 1e6:.1f} MB{aside}\n"
        )
    if not counts:
        screen.print("no study has image files here")
        return
    listed = list(shown)
    table = Table("", "study", "files", "MB", "last step", "why", box=None, pad_edge=False)
    for one in listed:
        table.add_row(
            "goes" if one.purges else "stays",
            one.facts.study_instance_uid,
            str(one.facts.files),
            f"{one.facts.size_bytes / 1e6:.1f}",
            one.facts.last_step_at.astimezone().strftime("%Y-%m-%d %H:%M"),
            WORDS[one.reason],
        )
    screen.print(table)
    if sum(counts.values()) > len(listed):
        screen.print(f"… and {sum(counts.values()) - len(listed)} more (--all)")
    screen.print()
    for reason, count in sorted(counts.items(), key=lambda item: (Reason(item[0]) not in PURGES, item[0])):
        files, size_mb = sizes[reason]
        goes = ("would go" if done is None else "left to go") if Reason(reason) in PURGES else "stays"
        amount = f"{counted(count, 'study', 'studies')}, {counted(files, 'file')}, {size_mb:.1f} MB"
        screen.print(f"{goes:<10} {amount}: {WORDS[Reason(reason)]}")
