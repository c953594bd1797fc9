"""The commands `findings`, `evaluate-findings` and `normalise` of `echo-model`: JSON lines in and out."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from model.findings.agreement import Counts, described
from model.findings.errors import FindingsError, InputError
from model.findings.evaluate import ConceptCounts, Evaluation, evaluate
from model.findings.examples import format_of, json_lines, read_examples
from model.findings.expectations import expectations, stated_attributes, turned_round, unmet
from model.findings.extract import (
    MAX_CHARACTERS,
    ReportReading,
    chexpert_classes,
    extract_findings,
    read_report,
    stronger,
)
from model.findings.merge import Read
from model.findings.normalise import Policy, normalise
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording import wording_in

_File = Annotated[
    Path, typer.Argument(help="JSON lines {id, text}; - reads standard input.", show_default=False)
]
# Of every command that reads findings.
Extension = Annotated[
    Path | None,
    typer.Option("--vocabulary", help="A hospital's vocabulary file that extends the shipped one."),
]


def findings_command(
    file: _File,
    vocabulary: Extension = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Adds for each mention the cue, the scope and the rule that decided."),
    ] = False,
) -> None:
    """Reads reports and writes their findings, one JSON line for each report."""
    try:
        known = load_vocabulary(vocabulary)
        for number, record in json_lines(_lines(file)):
            reading = read_report(record["text"], known)
            _warn_if_cut(file, number, record["text"])
            for passage, reason in reading.refused:
                typer.echo(f"{file}:{number}: not read: {reason} ({len(passage)} characters)", err=True)
            reasons = {"explained": [_explained(read) for read in reading.reads]} if explain else {}
            _write({"id": record.get("id", number), **reading_record(reading, known), **reasons})
    except FindingsError as error:
        _fail(file, error)


def reading_record(reading: ReportReading, vocabulary: Vocabulary) -> dict[str, Any]:
    """What `findings` writes about a report besides its id, including its language and what was not read."""
    refused = [{"passage": passage, "reason": reason} for passage, reason in reading.refused]
    return {**findings_record(reading.findings, vocabulary), "language": reading.language, "refused": refused}


def _explained(read: Read) -> dict[str, Any]:
    """A mention with what decided it; its presence is null if it states nothing."""
    why, finding = read.why, read.finding
    return {
        "presence": None if finding is None else finding.presence.value,
        **({} if why is None else asdict(why)),
        "evidence": "" if finding is None else finding.evidence,
    }


def evaluate_findings_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines {id, text, findings}, `text ||| +concept`, NegEx or CheXpert labels (CSV).",
            show_default=False,
        ),
    ],
    vocabulary: Extension = None,
    as_json: Annotated[bool, typer.Option("--json", help="The last line is one JSON object.")] = False,
) -> None:
    """Prints precision, recall and F1 of reading annotated text, per concept and presence."""
    try:
        known = load_vocabulary(vocabulary)
        text = "\n".join(_lines(file))
        if " ||| " in text:
            return _print_expectations(text, known)
        result = evaluate(read_examples(text, known), format_of(text), known)
    except FindingsError as error:
        _fail(file, error)
    _print(result)
    if as_json:
        _write(result.as_json())


def _print_expectations(text: str, vocabulary: Vocabulary) -> None:
    """Prints where the result differs from a file of short expectations, and how often a finding is
    reversed.
    """
    total = right = turned = 0
    stated: Counts = Counter()
    for case in expectations(text.split("\n")):
        found = extract_findings(case.text, vocabulary)
        bad = unmet(case.items, found)
        total, right = total + 1, right + (not bad)
        turned += bool(turned_round(case.items, found))
        stated += stated_attributes(case.items, found)
        if bad:
            typer.echo(f"{case.text}\n    {' '.join(bad)}")
    typer.echo(
        f"{right} of {total} right; {turned} turned round (present read as absent or absent as present)"
    )
    typer.echo(f"of findings whose presence is right: {described(stated)}")


def normalise_command(
    file: _File,
    policy: Annotated[
        Policy,
        typer.Option(
            "--policy",
            help="What to do with findings that a report does not mention: leave them out, or state them as "
            "normal.",
        ),
    ],
    vocabulary: Extension = None,
    language: Annotated[
        str,
        typer.Option(
            "--language", help="Language of the canonical wording: en, zh, or that of a pack with a wording."
        ),
    ] = "en",
) -> None:
    """Rewrites reports in the canonical wording and says how much the policy had to add.

    The other fields of each line are kept, so that training data goes in and comes out.
    """
    reports = stated = added = unread = empty = 0
    try:
        known = load_vocabulary(vocabulary)
        wording_in(language, known)
        for number, record in json_lines(_lines(file)):
            result = normalise(record["text"], policy, known, language)
            _warn_if_cut(file, number, record["text"])
            reports, stated, added = reports + 1, stated + len(result.stated), added + len(result.added)
            unread, empty = unread + len(result.unread), empty + (not result.stated)
            _write(
                {
                    **record,
                    "findings": result.report.space.join(result.report.findings),
                    "impression": result.report.space.join(result.report.impression),
                    "normalised": result.report.text,
                    "added": [finding.concept for finding in result.added],
                    "unread": list(result.unread),
                }
            )
    except FindingsError as error:
        _fail(file, error)
    share = added / (stated + added) if stated + added else 0.0
    typer.echo(
        f"{reports} reports: {stated} statements read, {added} added by the policy {policy} "
        f"({share:.0%} of all); {unread} sentences without a finding, {empty} reports without any.",
        err=True,
    )


def text_lines(file: Path) -> Iterator[str]:
    """The texts in a file of JSON lines; an invalid line ends the command with its number."""
    try:
        for _, record in json_lines(_lines(file)):
            yield record["text"]
    except FindingsError as error:
        _fail(file, error)


def _warn_if_cut(file: Path, number: int, text: str) -> None:
    unread = len(text) - MAX_CHARACTERS
    if unread > 0:
        typer.echo(
            f"{file}:{number}: too long for one report; its last {unread} characters were not read", err=True
        )


def findings_record(found: Sequence[Finding], vocabulary: Vocabulary) -> dict[str, Any]:
    """What `findings` writes about a report besides its id. Each concept is in one of the three lists."""
    strongest: dict[str, Presence] = {}
    for finding in found:
        strongest[finding.concept] = stronger(strongest.get(finding.concept), finding.presence)
    lists = {
        presence.value: [concept for concept, value in strongest.items() if value is presence]
        for presence in Presence
    }
    return {
        **lists,
        "findings": [
            {
                "concept": f.concept,
                "presence": f.presence.value,
                "laterality": f.laterality,
                "location": f.location,
                "severity": f.severity,
                "change": f.change,
                "evidence": f.evidence,
                "span": f.span,
            }
            for f in found
        ],
        "classes": {name: presence.value for name, presence in chexpert_classes(found, vocabulary).items()},
    }


def _lines(file: Path) -> Iterator[str]:
    """The lines of a file or standard input.

    Raises:
        InputError: the file cannot be read, or a line is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or type(error).__name__}") from error
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            yield line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InputError(f"line {number}: is not UTF-8 text (byte {error.start + 1})") from error


def _write(record: dict[str, Any]) -> None:
    typer.echo(json.dumps(record, ensure_ascii=True))


def _fail(file: Path, error: FindingsError) -> NoReturn:
    name = "standard input" if str(file) == "-" else str(file)
    where = f"{name}: " if isinstance(error, InputError) else ""
    typer.secho(f"{error.code}: {where}{error}", fg="red", err=True)
    raise typer.Exit(code=1)


def _print(result: Evaluation) -> None:
    table = Table(title=f"Findings read from {result.examples} annotated texts ({result.format})")
    for name, justify in (("concept", "left"), ("presence", "left"), *((n, "right") for n in _NUMBERS)):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in result.rows:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_cells(result.micro))
    console = Console()
    console.print(table)
    console.print(f"macro-F1 {result.macro_f1:.3f}   right as a whole {result.accuracy:.3f}", highlight=False)
    if result.attribute_accuracy is not None:
        console.print(
            f"attributes right {result.attribute_accuracy:.3f}   {described(result.stated)}", highlight=False
        )
    console.print(f"turned round {result.turned_round}", highlight=False)


_NUMBERS = ("precision", "recall", "F1", "support")


def _cells(row: ConceptCounts) -> tuple[str, ...]:
    rates = (f"{value:.3f}" for value in (row.precision, row.recall, row.f1))
    return (row.concept, row.presence, *rates, str(row.support))
