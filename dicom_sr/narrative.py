"""Reads the text of a radiologist's report from any Structured Report, ours or another vendor's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_sr import tree
from dicom_sr.charset import clean
from dicom_sr.independent import measured
from dicom_sr.source import text

# Headings by the first words of their meanings (CID 7001, its DCM forms, and other vendors' words).
_RESULTS = ("finding", "impression", "conclusion", "diagnos", "addendum", "recommendation")
_NOT_RESULTS = (
    "summary",
    "history",
    "request",
    "indication",
    "clinical",
    "procedure",
    "current proc",
    "prior",
)
# The texts in a measurement group only name and track it; its statements are its codes and numbers.
_GROUP = "measurement group"
_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrative:
    """A report's text on one line, and its status.

    `final`: a person verified it, or its author completed it and did not call it preliminary.
    `written`: Content Date and Time as digits that sort by time.
    """

    text: str
    verified: bool
    final: bool
    written: str


def narrative(document: Dataset, longest: int) -> Narrative:
    """Read a report; its text is cut to `longest` characters, at a word.

    Findings, impression and similar sections if it has any, else all of its text; for a document without
    text, the statements of its measurement groups.

    Raises:
        NotStructuredReportError: the object has no content tree.
    """
    tree.require_document(document)
    items = list(_texts(document, "", 0))
    results = [(heading, words) for heading, words in items if heading.startswith(_RESULTS)]
    rest = [(heading, words) for heading, words in items if not heading.startswith(_NOT_RESULTS)]
    plain = [(heading, words) for heading, words in rest if not heading.startswith(_GROUP)]
    verified = text(document, "VerificationFlag").upper() == "VERIFIED"
    preliminary = text(document, "PreliminaryFlag").upper() == "PRELIMINARY"
    complete = text(document, "CompletionFlag").upper() == "COMPLETE"
    return Narrative(
        text=shortened(_joined(results or plain) or "; ".join(measured(document)) or _joined(rest), longest),
        verified=verified,
        final=not preliminary and (verified or complete),
        written=text(document, "ContentDate") + text(document, "ContentTime"),
    )


def shortened(words: str, longest: int) -> str:
    """Cut a text at a word boundary, with an ellipsis."""
    if len(words) <= longest:
        return words
    return words[: longest - 4].rsplit(" ", 1)[0].rstrip(" .,;") + " ..."


def _texts(item: Dataset, heading: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield each TEXT item with the meaning of its section, or else of its own concept."""
    for child in tree.children(item) if depth < _DEEPEST else ():
        named = tree.code(child, "ConceptNameCodeSequence")
        meaning = "" if named is None else clean(named.meaning).lower()
        kind = tree.words(child, "ValueType")
        if kind == "TEXT":
            words = text(child, "TextValue")
            if words:
                yield heading or meaning, words
        elif kind == "CONTAINER":
            yield from _texts(child, meaning or heading, depth + 1)


def _joined(items: list[tuple[str, str]]) -> str:
    parts: list[str] = []
    last = ""
    for heading, words in items:
        if heading and heading != last:
            parts.append(f"{heading.capitalize()}:")
        last = heading
        parts.append(words)
    return " ".join(parts)
