"""Text templates: how inserting one would change the findings of a report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.reports.edited_report import Report, read_findings
from model.findings.consistency import contradictions
from model.findings.types import Finding, Presence
from model.findings.vocabulary import load_vocabulary

_WORDS: Mapping[Presence, str] = {
    Presence.PRESENT: "present",
    Presence.ABSENT: "absent",
    Presence.INDETERMINATE: "uncertain",
}


def opposed(before: Report, after: Report, template: Report) -> list[str]:
    """Describe the findings of a report that a template contradicts or would reverse.

    before, after: the report without and with the template; template: the template alone. Empty: no finding
    of the report changes.
    """
    old = read_findings(before).findings
    new = read_findings(after).findings
    said, inserted = _presences(old), _presences(read_findings(template).findings)
    opposite = {concept: inserted[concept] for concept in said if _opposed(said, inserted, concept)}
    turned = {
        concept: presences for concept, presences in _presences(new).items() if presences != said.get(concept)
    }
    lines = [_line(concept, said[concept], presences) for concept, presences in opposite.items()]
    lines += [
        _line(concept, said[concept], presences, verb="with the template it would be")
        for concept, presences in turned.items()
        if concept in said and concept not in opposite
    ]
    known = {one.text for one in contradictions(old)}
    return lines + [one.text for one in contradictions(new) if one.text not in known]


def _presences(findings: Sequence[Finding]) -> dict[str, frozenset[Presence]]:
    found: dict[str, set[Presence]] = {}
    for finding in findings:
        found.setdefault(finding.concept, set()).add(finding.presence)
    return {concept: frozenset(presences) for concept, presences in found.items()}


def _opposed(
    said: Mapping[str, frozenset[Presence]], inserted: Mapping[str, frozenset[Presence]], concept: str
) -> bool:
    return concept in inserted and not inserted[concept] <= said[concept]


def _line(
    concept: str,
    said: frozenset[Presence],
    inserted: frozenset[Presence],
    verb: str = "the template says",
) -> str:
    known = load_vocabulary().concepts.get(concept)
    name = known.name if known is not None else concept.replace("_", " ")
    return f"{name}: the report says {_words(said)}, {verb} {_words(inserted)}"


def _words(presences: frozenset[Presence]) -> str:
    return " and ".join(sorted(_WORDS[one] for one in presences))
