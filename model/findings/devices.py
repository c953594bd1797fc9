"""Malpositioned devices: the meaning of the position of a device's tip."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.merge import Read, Why
from model.findings.scope.scope import Scope
from model.findings.spans import Marked, Span
from model.findings.text.tokens import words_of
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary

MALPOSITION = "malpositioned_device"
_BACK = 7  # words before a place in which its tip must be named, and not as "above" or "no longer in"


def reached_by(
    marked: Marked, mention: Span, scopes: Sequence[Scope], governed: Sequence[Span], vocabulary: Vocabulary
) -> list[Scope]:
    """The scopes that a finding can have: a verb of devices is about the device between it and the finding.

    "Left pneumothorax, chest tube not yet inserted"; but "ETT and NGT were removed", "the mass was removed".
    """
    verbs = marked.pack.words["placed"] | marked.pack.words["withdrawn"] | marked.pack.words["removed"]
    devices = [g for g in governed if g.key in vocabulary.concepts and vocabulary.concepts[g.key].device]

    def is_of_device(scope: Scope) -> bool:
        said = not scope.forward and not verbs.isdisjoint(marked.words[scope.cue.start : scope.cue.end])
        return said and any(mention.end <= d.start and d.end <= scope.cue.start for d in devices)

    return [scope for scope in scopes if not is_of_device(scope)]


def with_malposition(marked: Marked, found: Sequence[Read], vocabulary: Vocabulary) -> list[Read]:
    """Add the malposition implied by a device's place if the sentence is about the device's tip."""
    listed = list(found)
    stated = [read.finding for read in found if read.finding is not None]
    if any(f.concept == MALPOSITION for f in stated) or marked.pack.words["tips"].isdisjoint(marked.bag):
        return listed
    for finding in stated:
        if finding.presence is not Presence.PRESENT:
            continue
        by_place = finding.location in vocabulary.malposition.get(finding.concept, ())
        words = "" if by_place else _wrong_place(marked, finding.concept, vocabulary)
        if by_place or words:
            why = Why(
                concept=MALPOSITION,
                mention=words or str(finding.location),
                status="affirmed",
                rule="tip-out-of-place",
            )
            place = finding.location if by_place else None
            added = Finding(
                concept=MALPOSITION, presence=Presence.PRESENT, location=place, evidence=finding.evidence
            )
            listed.append(Read(added, why=why))
            break
    return listed


def _wrong_place(marked: Marked, device: str, vocabulary: Vocabulary) -> str:
    """The words for a wrong place of the device, if the sentence says that its tip is there."""
    for phrase in vocabulary.misplaced.get(device, ()):
        words = words_of(phrase)
        if words[0] not in marked.bag:
            continue
        for start in range(len(marked.words) - len(words) + 1):
            if marked.words[start : start + len(words)] != words:
                continue
            before = marked.words[max(0, start - _BACK) : start]
            away = marked.pack.words["not_at"] | marked.pack.words["not"] | {"no", "longer"}
            if marked.pack.words["tips"].intersection(before) and away.isdisjoint(before):
                return phrase
    return ""
