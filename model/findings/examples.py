"""Annotated text for evaluation: our JSON lines, the NegEx corpus and CheXpert-labelled reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from model.findings.errors import InputError
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary
from model.findings.vocabulary_check import CHEXPERT
from model.json_once import KeyTwice, read_json

Format = Literal["findings", "negex", "chexpert"]

_ENUMS: Mapping[str, type[Presence | Laterality | Severity | Change]] = {
    "presence": Presence,
    "laterality": Laterality,
    "severity": Severity,
    "change": Change,
}
_NAMES = {field.name for field in fields(Finding)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedText:
    """One annotated text. Which of the gold fields is used depends on the format of the file."""

    id: str
    text: str
    findings: tuple[Finding, ...] = ()
    concept: str = ""  # NegEx: the concept in the text's words
    negated: bool = False
    classes: Mapping[str, Presence] | None = None  # CheXpert


def format_of(text: str) -> Format:
    """Return the kind of an annotated file.

    Raises:
        InputError: it is none of the three.
    """
    first = text.lstrip("\ufeff \t\r\n").split("\n", 1)[0]
    if first.startswith("{"):
        return "findings"
    if "\t" in first and "negation" in first.lower():
        return "negex"
    if {name.strip() for name in first.split(",")} >= set(CHEXPERT):
        return "chexpert"
    raise InputError(
        "line 1: neither JSON lines with `text` and `findings`, nor the NegEx corpus (tab-separated, with a "
        "negation column), nor CheXpert labels (CSV with the 14 classes)"
    )


def read_examples(text: str, vocabulary: Vocabulary) -> tuple[AnnotatedText, ...]:
    """All examples of a file.

    Raises:
        InputError: names the first line that is wrong and what is wrong with it.
    """
    match format_of(text):
        case "findings":
            return tuple(_from_json(text.split("\n"), vocabulary))
        case "negex":
            return tuple(_from_negex(text.splitlines()))
        case _:
            return tuple(_from_chexpert(text))


def json_lines(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of every line that is not blank.

    Raises:
        InputError: a line is not a JSON object, or its `text` is not text.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip("\ufeff \t\r\n"):
            continue
        try:
            record = read_json(line.lstrip("\ufeff"))
        except KeyTwice as error:
            raise InputError(f"line {number}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number}: is not JSON ({error})") from error
        if not isinstance(record, dict):
            raise InputError(f"line {number}: must be a JSON object with `id` and `text`")
        if not isinstance(record.get("text"), str):
            raise InputError(f"line {number}: `text` is missing or is not a string")
        yield number, record


def _from_json(lines: Iterable[str], vocabulary: Vocabulary) -> Iterator[AnnotatedText]:
    for number, record in json_lines(lines):
        gold = record.get("findings")
        if not isinstance(gold, list):
            raise InputError(f"line {number}: `findings` must be a list of annotated findings")
        findings = tuple(_finding(entry, number, vocabulary) for entry in gold)
        yield AnnotatedText(id=str(record.get("id", number)), text=record["text"], findings=findings)


def _finding(entry: object, number: int, vocabulary: Vocabulary) -> Finding:
    if not isinstance(entry, dict) or "concept" not in entry or "presence" not in entry:
        raise InputError(f"line {number}: a finding needs `concept` and `presence`")
    unknown = set(entry) - _NAMES
    if unknown:
        raise InputError(f"line {number}: unknown field of a finding: {', '.join(sorted(map(str, unknown)))}")
    if entry["concept"] not in vocabulary.concepts:
        raise InputError(f"line {number}: {entry['concept']!r} is not a concept of the vocabulary")
    values: dict[str, Any] = {}
    for name, value in entry.items():
        try:
            values[name] = _ENUMS[name](value) if name in _ENUMS and value is not None else value
        except ValueError as error:
            allowed = ", ".join(_ENUMS[name])
            raise InputError(f"line {number}: {name} {value!r} is none of {allowed}") from error
    return Finding(**values)


def _from_negex(lines: Iterable[str]) -> Iterator[AnnotatedText]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if number == 1 or not line.strip():
            continue
        if len(columns) < 4:
            raise InputError(
                f"line {number}: has {len(columns)} tab-separated columns; at least 4 are needed"
            )
        status = columns[3].strip().lower()
        if status not in ("negated", "affirmed", "possible"):
            raise InputError(f"line {number}: negation status {columns[3]!r} is unknown")
        yield AnnotatedText(id=columns[0], text=columns[2], concept=columns[1], negated=status == "negated")


def _from_chexpert(text: str) -> Iterator[AnnotatedText]:
    values = {"1": Presence.PRESENT, "0": Presence.ABSENT, "-1": Presence.INDETERMINATE}
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    column = next(
        (name for name in reader.fieldnames or () if name.strip().lower() in ("reports", "report", "text")),
        None,
    )
    if column is None:
        raise InputError("line 1: no column `Reports` with the text")
    for index, row in enumerate(reader, 1):
        classes = {}
        for name in CHEXPERT:
            label = (row.get(name) or "").strip().removesuffix(".0")
            if label and label not in values:
                raise InputError(f"line {reader.line_num}: label {label!r} of {name} is none of 1, 0, -1")
            if label:
                classes[name] = values[label]
        yield AnnotatedText(id=str(index), text=row[column] or "", classes=classes)
