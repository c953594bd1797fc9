"""Which observations of a result message are a signed report's text, and whether they are signed. Pure.

A result message has more than its text: the study's UID, links, measurements, coded findings, documents,
texts that nobody has verified yet, texts that were taken back. Source: HL7 v2.5.1 chapter 7.4.2 (OBX), tables
0085 and 0123, section 7.1.4 (suffixes of observation identifiers); IHE RAD TF-2 4.28 (the study's UID).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.messages.hl7.message import Segment

_TEXTS = ("TX", "FT", "ST")
# OBR-25. Not among them are A (some results only), P, R, S, I and O: nobody has signed the whole.
_REPORT = {"F": "F", "C": "C", "X": "X"}
# OBX-11: U makes final what was preliminary, A and B are corrections since version 2.8.2.
_SIGNED = {"F": "F", "U": "F", "C": "C", "A": "C", "B": "C"}
_DELETED, _TAKEN_BACK, _NO_RESULT = ("D", "W"), ("D", "W", "X"), ("N", "O")
# Observations that name the study or its parts (DCM), and short values that are known by their name.
_IDENTIFIERS = ("113014", "113015", "110180", "112002", "110181", "121181")
_NAMED_IDENTIFIER = re.compile(r"(?i)\b(?:[uo]ids?|ids?|identifiers?|accession|ur[il]|(?:hyper)?links?)\b")
_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){3,}")
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://\S*|\\\\\S+")
# Documents sent as if they were text: RTF, PDF, or any file in Base64.
_DOCUMENT = re.compile(r"\s*(?:\{\\rtf|%PDF-|JVBERi0|(?=[A-Za-z]*[0-9+/])[A-Za-z0-9+/\s]{400,}={0,2}\s*\Z)")
_PARTS = {"IMP": "Impression", "ADT": "Addendum"}
_ADDENDUM = re.compile(r"(?i)\s*(?:addend|nachtrag|ergänzung)")
_PLAIN_NAMES = ("report", "report text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportText:
    """What the observations of one request say.

    status: F, C, X (withdrawn), or empty where no person has signed it. addendum: all of the text adds to a
    report that was sent before.
    """

    status: str
    text: str = ""
    addendum: bool = False


def report_text(request: Segment, group: Sequence[Segment]) -> ReportText:
    """Return the signed text of a request's observations; texts that are not signed are left out.

    Where OBR-25 is empty, every text must be signed.
    """
    texts = [one for one in _texts(group) if _state(one) not in _NO_RESULT]
    standing = [one for one in texts if _state(one) not in _TAKEN_BACK]
    stated = request.text(25).upper()
    status = _REPORT.get(stated, "") if stated else _status_of(texts, standing)
    if not status or status == "X":
        return ReportText(status=status, text=_joined(standing) if status else "")
    signed = [one for one in standing if not _state(one) or _state(one) in _SIGNED]
    if not signed:
        # All of the text was deleted or was posted by mistake, or nobody has verified any of it.
        return ReportText(status="X" if texts and not standing else "" if standing else status)
    return ReportText(status=status, text=_joined(signed), addendum=all(map(_is_addendum, signed)))


def study_in(group: Sequence[Segment]) -> str:
    """Return the Study Instance UID that an observation names (IHE RAD TF-2 4.28)."""
    named = (one.text(5, 1) for one in group if one.name == "OBX" and one.text(3, 1) in ("113014", "110180"))
    return next((value for value in named if value), "")


def _status_of(texts: Sequence[Segment], standing: Sequence[Segment]) -> str:
    if texts and not standing:
        return "X" if any(_state(one) in _DELETED for one in texts) else ""
    found = {_SIGNED.get(_state(one), "") for one in standing}
    if not found or "" in found:
        return ""
    return "C" if "C" in found else "F"


def _state(observation: Segment) -> str:
    return observation.text(11).upper()


def _texts(group: Sequence[Segment]) -> Iterator[Segment]:
    """Yield the observations that are text, or were: a deleted one may have neither type nor value."""
    observations = [one for one in group if one.name == "OBX"]
    documents = {_concept(one) for one in observations if _DOCUMENT.match(one.text(5))}
    for one in observations:
        kind = one.text(2).upper()
        if one.text(3, 1) in _IDENTIFIERS or _concept(one) in documents:
            continue
        deleted = _state(one) in _TAKEN_BACK and kind in ("", *_TEXTS)
        if deleted or (kind in _TEXTS and _is_words(one, kind)):
            yield one


def _concept(observation: Segment) -> str:
    return observation.raw(3)


def _is_words(observation: Segment, kind: str) -> bool:
    """Whether a value is words of a report: no identifier, no address, no measurement; not nothing."""
    values = [observation.part(one) for one in observation.repetitions(5)]
    if all(not one or _UID.fullmatch(one) or _ADDRESS.fullmatch(one) for one in values):
        return False
    if kind != "ST":
        return True
    measured = bool(observation.text(6)) or not any(char.isalpha() for one in values for char in one)
    return not measured and _NAMED_IDENTIFIER.search(observation.text(3, 2)) is None


def _joined(signed: Sequence[Segment]) -> str:
    """Return the text, a line for each value, under the observations' names."""
    lines: list[str] = []
    heading = ""
    for one in signed:
        name = _PARTS.get(_suffix(one)) or one.text(3, 2)
        if name and name != heading and name.casefold() not in _PLAIN_NAMES:
            lines.append(f"{name}:")
        heading = name or heading
        lines.extend(one.part(value) for value in one.repetitions(5))
    return "\n".join(line for line in lines if line).strip()


def _suffix(observation: Segment) -> str:
    return observation.text(3, 1, 2).upper()


def _is_addendum(observation: Segment) -> bool:
    named = _ADDENDUM.match(observation.text(3, 2)) or observation.text(3, 1) == "55107-7"
    return _state(observation) == "B" or _suffix(observation) == "ADT" or bool(named)
