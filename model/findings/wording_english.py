"""The English grammar of canonical sentences.

[Possible | No | Resolved] [new] [severity] [side] NAME [in place | in the PLACE][, CHANGE].
No NAME, NAME or NAME.                               (plain absences of one region)
"""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary
from model.findings.wording_terms import NORMAL_SENTENCE, SIZED, is_device, name_of, place_of

NO_FINDING_SENTENCE = "No acute cardiopulmonary abnormality."
TITLES = ("Findings:", "Impression:")

_SIZES = {Severity.MILD: "small", Severity.MODERATE: "moderate", Severity.SEVERE: "large"}
_OPENINGS = {Presence.PRESENT: (), Presence.ABSENT: ("no",), Presence.INDETERMINATE: ("possible",)}
_TRAILING_CHANGES = (Change.INCREASED, Change.DECREASED, Change.UNCHANGED)


class EnglishWording:
    """The English wording of a finding; `model.findings.wording` puts the sentences in order."""

    titles = TITLES
    space = " "
    no_finding = NO_FINDING_SENTENCE
    normal = NORMAL_SENTENCE

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def sentence(self, finding: Finding) -> str:
        """The sentence of one finding."""
        both = finding.laterality is Laterality.BILATERAL
        return _phrase(finding, name_of(finding.concept, self._vocabulary, bilateral=both), self._vocabulary)

    def malpositioned(self, device: Finding) -> str:
        """The sentence for a malpositioned device."""
        return _phrase(device, f"malpositioned {name_of(device.concept, self._vocabulary)}", self._vocabulary)

    def denied(self, concepts: Sequence[str]) -> str:
        """The sentence of plain absences: No A, B or C."""
        names = [name_of(concept, self._vocabulary) for concept in concepts]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        return f"No {listed}."


def _phrase(finding: Finding, name: str, vocabulary: Vocabulary) -> str:
    words = _opening(finding)
    if finding.severity is not None:
        sized = finding.concept in SIZED
        words.append(_SIZES[finding.severity] if sized else finding.severity.value)
    place, side = None, finding.laterality
    if finding.location is not None:
        place = place_of(finding.location, vocabulary)
    one_sided_place = place is not None and place.sided and side in (Laterality.LEFT, Laterality.RIGHT)
    if side is not None and not one_sided_place:
        words.append(side.value)
    words.append(name)
    if place is not None:
        both = place.sided and side is Laterality.BILATERAL
        words += [
            place.preposition,
            *([str(side)] if one_sided_place else []),
            place.plural if both else place.singular,
        ]
    elif is_in_place(finding, vocabulary):
        words.append("in place")
    sentence = " ".join(words)
    if finding.change in _TRAILING_CHANGES:
        sentence += f", {finding.change}"
    return sentence[0].upper() + sentence[1:] + "."


def is_in_place(finding: Finding, vocabulary: Vocabulary) -> bool:
    """Whether a finding without a place is a correctly positioned device."""
    present = finding.presence is Presence.PRESENT and finding.change is not Change.RESOLVED
    return present and is_device(finding.concept, vocabulary)


def _opening(finding: Finding) -> list[str]:
    if finding.change is Change.RESOLVED:  # a resolved finding is absent, whatever else is stated about it
        return ["resolved"]
    words = list(_OPENINGS[finding.presence])
    return [*words, "new"] if finding.change is Change.NEW else words
