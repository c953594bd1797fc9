"""`echo-agent shadow`: undelivered drafts compared with the signed reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    console,
    database_of,
    print_json,
    record_command,
    settings_of,
)
from agent.foundation.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.shadow.accuracy import ConceptAccuracy
    from agent.shadow.rates import Rate

SinceOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only drafts made on this day (UTC) or later.")
]
UntilOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only drafts made before this day (UTC).")
]
ModelOption = Annotated[str, typer.Option(help="Only drafts by the model whose digest begins like this.")]
_MOST_BAD_LINES = 20


def import_reports(
    file: Annotated[Path, typer.Argument(help="CSV file; its first line names the columns.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import signed reports from a CSV file, and compare them with the stored drafts.

    Columns: text, and study_instance_uid, or accession_number with patient_id; signed_at and signed_by are
    optional. A line that was imported before is not imported again.
    """
    from rich.progress import track

    from agent.database.session import database_now
    from agent.shadow.comparing import compare_due
    from agent.shadow.csv_file import BadLine, SameTime, read_csv
    from agent.shadow.signed import enter

    database = database_of(settings_of(config))
    taken, known, bad, same = 0, 0, [], SameTime()
    with database.reading() as session:
        latest = database_now(session) + timedelta(days=1)
    lines = read_csv(file, latest, same)
    for line in track(lines, "reading", disable=as_json, transient=True, console=console()):
        if isinstance(line, BadLine):
            bad.append(line)
            continue
        with database.transaction() as session:
            entered = enter(session, line, database_now(session))
        taken, known = taken + entered, known + (not entered)
    looked = 0
    while done := compare_due(database):
        looked += done
    if as_json:
        print_json(
            {
                "taken": taken,
                "known": known,
                "bad": bad,
                "same_time": same.several(),
                "studies_compared": looked,
            }
        )
        raise typer.Exit(1 if bad else 0)
    compared = counted(looked, "study", "studies")
    if taken + known + len(bad) == 0:
        print(f"{file} holds no reports: there is no line below the names of its columns")
    else:
        print(f"{counted(taken, 'report')} taken, {known} known already, {compared} compared")
    for one in bad[:_MOST_BAD_LINES]:
        print(f"line {one.number} was left out: {one.reason}")
    if len(bad) > _MOST_BAD_LINES:
        print(f"and {counted(len(bad) - _MOST_BAD_LINES, 'further line')}")
    _print_same_time(same.several())
    raise typer.Exit(1 if bad else 0)


def _print_same_time(several: Sequence[Sequence[int]]) -> None:
    """Say which lines their order alone decides between; only the hospital knows which one stands."""
    if not several:
        return
    print(
        f"{counted(len(several), 'study has', 'studies have')} several reports of the same signed_at, or "
        "without one, and the last line of each counts; state when each was signed:"
    )
    for lines in several[:_MOST_BAD_LINES]:
        print(f"  lines {', '.join(map(str, lines))}")
    if len(several) > _MOST_BAD_LINES:
        print(f"  and of {counted(len(several) - _MOST_BAD_LINES, 'further study', 'further studies')}")


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how many drafts are in shadow mode, and how many have been compared."""
    from agent.shadow.summary import read_status

    with database_of(settings_of(config)).reading() as session:
        found = read_status(session)
    if as_json:
        print_json(found)
        return
    print(f"drafts in shadow        {found.in_shadow}")
    print(f"signed reports          {found.reports}")
    print(f"  of studies not here   {found.unmatched}")
    for code, number in sorted(found.not_compared.items()):
        print(f"  {code:<22}{number}")
    print(f"drafts compared         {found.compared}")
    print(f"  with a disagreement   {found.with_disagreement}")


def agreement(
    by: Annotated[str, typer.Option(help="all, site, device, month or model.")] = "all",
    since: SinceOption = None,
    until: UntilOption = None,
    model: ModelOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show sensitivity, specificity, PPV, side and severity agreement per finding, with 95 % intervals."""
    from rich.table import Table

    from agent.shadow.accuracy import GROUPINGS, accuracy
    from agent.shadow.comparing import compared_studies
    from agent.shadow.known import model_digest

    grouping = next((one for one in GROUPINGS if one == by), None)
    if grouping is None:
        raise typer.BadParameter(f"choose one of {', '.join(GROUPINGS)}", param_hint="--by")
    with database_of(settings_of(config)).reading() as session:
        digest = model_digest(session, model)
        studies = compared_studies(session, since=_utc(since), until=_utc(until), model_digest=digest)
    groups = accuracy(studies, grouping)
    if as_json:
        print_json(groups)
        return
    for group in groups:
        title = f"{group.name or 'all'}: {counted(group.studies, 'study', 'studies')}"
        table = Table(title=title, title_justify="left", box=None)
        for column in (
            "finding",
            "present",
            "sensitivity",
            "specificity",
            "PPV",
            "side",
            "severity",
            "kappa",
        ):
            table.add_column(column)
        for one in group.concepts:
            table.add_row(*_cells(one))
        console().print(table)
    if not groups:
        chosen = " with this choice" if since or until or model else " yet"
        print(f"nothing is compared{chosen}: take signed reports with `echo-agent shadow import`")


def _cells(one: ConceptAccuracy) -> tuple[str, ...]:
    return (
        one.concept,
        str(one.true_positive + one.false_negative),
        _share(one.sensitivity),
        _share(one.specificity),
        _share(one.ppv),
        _share(one.side),
        _share(one.severity),
        "" if one.kappa is None else f"{one.kappa:.2f}",
    )


def _share(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return ""
    return f"{rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})"


def disagreements(
    concept: Annotated[str, typer.Option(help="Only studies in which this finding differs.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, newest first.")] = 50,
    texts: Annotated[bool, typer.Option("--texts", help="Show both texts; viewing them is audited.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the studies in which draft and signed report disagree."""
    from agent.shadow.known import check_concept
    from agent.shadow.summary import disagreements as read

    if concept:
        check_concept(concept)
    database = database_of(settings_of(config))
    with database.reading() as session:
        found = read(session, concept=concept, limit=limit)
    if texts:
        record_command(database, "export", count=len(found), kind="shadow")
    if as_json:
        print_json(
            [
                {"study_instance_uid": one.study_instance_uid, "site": one.site, "pairs": one.pairs}
                | ({"draft": one.draft_text, "signed": one.signed_text} if texts else {})
                for one in found
            ]
        )
        return
    for one in found:
        print(f"{one.study_instance_uid}  {one.site}")
        for name, (drafted, signed) in sorted(one.pairs.items()):
            print(f"    {name}: draft {_spoken(drafted)}, signed {_spoken(signed)}")
        if texts:
            print(f"    draft:  {one.draft_text}\n    signed: {' '.join(one.signed_text.split())}")
    if not found:
        print("no disagreement")


def _spoken(reading: list[str]) -> str:
    presence, sides, severity = reading
    return " ".join(part for part in (presence or "not mentioned", sides, severity) if part)


def drift(
    since: SinceOption = None,
    model: ModelOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which rates have changed, by device; exit status 1 if any has.

    since: starts new baselines, after an intended change.
    """
    from agent.shadow.drift import DriftRule, drift_alarms
    from agent.shadow.known import model_digest
    from agent.shadow.watching import observations

    settings = settings_of(config)
    with database_of(settings).reading() as session:
        digest = model_digest(session, model)
        seen = observations(session, since=_utc(since), model_digest=digest)
    rule = DriftRule(
        baseline=settings.drift.baseline,
        studies=settings.drift.studies,
        false_alarm=settings.drift.false_alarm,
    )
    alarms = drift_alarms(seen, rule)
    if as_json:
        print_json({"drafts": len(seen), "alarms": alarms})
    for one in () if as_json else alarms:
        print(
            f"{one.at:%Y-%m-%d %H:%M}  {one.stream}  {one.event} went {one.direction}: "
            f"{one.before:.1%} before, {one.rate:.1%} in the last {one.studies} drafts"
        )
    if not alarms and not as_json:
        print(f"no rate has changed ({len(seen)} drafts looked at)")
    raise typer.Exit(1 if alarms else 0)


def models(
    first: Annotated[str, typer.Argument(help="Beginning of the first model's digest.")],
    second: Annotated[str, typer.Argument(help="Beginning of the second model's digest.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two models on the studies that both have drafted (McNemar's exact test)."""
    from rich.table import Table

    from agent.shadow.comparing import challenger_studies, compared_studies
    from agent.shadow.known import model_digest
    from agent.shadow.two_models import paired_concepts

    with database_of(settings_of(config)).reading() as session:
        digests = [model_digest(session, one) for one in (first, second)]
        both = [
            [*compared_studies(session, model_digest=one), *challenger_studies(session, one)]
            for one in digests
        ]
    if digests[0] == digests[1]:
        raise typer.BadParameter("both are the same model: name two", param_hint="SECOND")
    found = paired_concepts(both[0], both[1])
    if as_json:
        print_json(found)
        return
    table = Table(box=None)
    for column in ("finding", "studies", "both right", "only first", "only second", "both wrong", "p"):
        table.add_column(column)
    for one in found:
        numbers = (one.studies, one.both_right, one.only_first, one.only_second, one.both_wrong)
        table.add_row(one.concept, *map(str, numbers), f"{one.p_value:.3f}")
    console().print(table if found else "no study was drafted by both and has a signed report")


def _utc(day: datetime | None) -> datetime | None:
    return None if day is None else day.replace(tzinfo=UTC)
