"""The canonical wording of a normalised report: one preferred sentence per statement, regions in order.

One-step decoding works only where a statement has one wording (two paraphrases that are nearly tied
are settled by image noise), so that nothing here is varied: side, place, severity and change alter a
sentence, chance never does. The grammar is small on purpose:

    [Possible | No | Resolved] [new] [severity] [side] NAME [in place | in the PLACE][, CHANGE].
    No NAME, NAME or NAME.                               (plain absences of one region)

Source: the region order is the one of ECHO's normalised reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording_terms import (
    IMPORTANCE,
    NORMAL_SENTENCE,
    REGION_ORDER,
    SIZED,
    TERM_ORDER,
    is_device,
    name_of,
    place_of,
    region_of,
)

NO_FINDING = "no_finding"
NO_FINDING_SENTENCE = "No acute cardiopulmonary abnormality."

_SIZES = {Severity.MILD: "small", Severity.MODERATE: "moderate", Severity.SEVERE: "large"}
_OPENINGS = {Presence.PRESENT: (), Presence.ABSENT: ("no",), Presence.INDETERMINATE: ("possible",)}
_TRAILING_CHANGES = (Change.INCREASED, Change.DECREASED, Change.UNCHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedReport:
    """The sentences of a normalised report, each ending in a full stop."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]

    @property
    def text(self) -> str:
        """`Findings: … Impression: …`; a part without a sentence is left out."""
        parts = (("Findings:", self.findings), ("Impression:", self.impression))
        return " ".join(" ".join((title, *sentences)) for title, sentences in parts if sentences)


def normalised_report(findings: Iterable[Finding], vocabulary: Vocabulary | None = None) -> NormalisedReport:
    """Word findings as a normalised report that states them and nothing else.

    What is not among the findings is not mentioned: a region without a finding gets no sentence.
    `no_finding` (present) becomes the impression "No acute cardiopulmonary abnormality."; absent or
    indeterminate it says nothing that the other findings do not. The impression repeats the present
    and indeterminate findings, the most important first; a device that is where it belongs is left
    to the findings. Order and duplicates of the argument do not matter. `vocabulary` (by default the
    shipped one) names what a hospital has added.

    Returns: sentences in the fixed order of regions; within one, present, possible, then absent.
    """
    words = vocabulary or load_vocabulary()
    unique = dict.fromkeys(replace(finding, evidence="") for finding in findings)
    stated = sorted((f for f in unique if f.concept != NO_FINDING), key=_order)
    sentences: list[str] = []
    for region in REGION_ORDER:
        sentences += _region_sentences([f for f in stated if region_of(f.concept, words) == region], words)
    impression = list(dict.fromkeys(_impression_sentences(stated, words)))
    if any(f.concept == NO_FINDING and f.presence is Presence.PRESENT for f in unique):
        impression.append(NO_FINDING_SENTENCE)
    return NormalisedReport(findings=tuple(sentences), impression=tuple(impression))


def sentence_for(finding: Finding, vocabulary: Vocabulary | None = None) -> str:
    """The one sentence that states one finding alone.

    >>> from model.findings.types import Finding, Laterality, Presence, Severity
    >>> sentence_for(Finding(concept="pleural_effusion", presence=Presence.PRESENT,
    ...                      laterality=Laterality.LEFT, severity=Severity.MILD))
    'Small left pleural effusion.'
    """
    if _is_plain_absence(finding) and finding.concept in NORMAL_SENTENCE:
        return NORMAL_SENTENCE[finding.concept]
    words = vocabulary or load_vocabulary()
    both = finding.laterality is Laterality.BILATERAL
    return _phrase(finding, name_of(finding.concept, words, bilateral=both), words)


def _region_sentences(findings: Sequence[Finding], words: Vocabulary) -> list[str]:
    stated, merged = _merge_malposition(findings, words)
    sentences = [*merged, *(sentence_for(f, words) for f in stated if not _is_plain_absence(f))]
    absent = [f for f in stated if _is_plain_absence(f)]
    listed = [name_of(f.concept, words) for f in absent if f.concept not in NORMAL_SENTENCE]
    if listed:
        sentences.append(f"No {_join(listed)}.")
    sentences += [NORMAL_SENTENCE[f.concept] for f in absent if f.concept in NORMAL_SENTENCE]
    return sentences


# Of "malpositioned tube at the carina, increased" a reader takes the change for the tube's alone.
_OF_BOTH = (None, Change.NEW, Change.UNCHANGED)


def _merge_malposition(findings: Sequence[Finding], words: Vocabulary) -> tuple[list[Finding], list[str]]:
    """A tube and its malposition are one statement: "Malpositioned endotracheal tube in the …"."""
    left, sentences = list(findings), []
    for wrong in [f for f in findings if f.concept == "malpositioned_device"]:
        if wrong.presence is not Presence.PRESENT or wrong.location is None:
            continue
        if wrong.change not in _OF_BOTH:
            continue
        for device in [f for f in left if is_device(f.concept, words)]:
            if replace(device, concept=wrong.concept) == wrong:
                left = [f for f in left if f not in (wrong, device)]
                sentences.append(_phrase(device, f"malpositioned {name_of(device.concept, words)}", words))
                break
    return left, sentences


def _impression_sentences(findings: Sequence[Finding], words: Vocabulary) -> list[str]:
    loose, merged = _merge_malposition(findings, words)
    worth = [f for f in loose if f.presence is not Presence.ABSENT and not is_device(f.concept, words)]
    worth.sort(
        key=lambda f: (f.presence is Presence.INDETERMINATE, IMPORTANCE.get(f.concept, len(IMPORTANCE)))
    )
    return [*merged, *(sentence_for(f, words) for f in worth)]


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
    elif _is_in_place(finding, vocabulary):
        words.append("in place")
    sentence = " ".join(words)
    if finding.change in _TRAILING_CHANGES:
        sentence += f", {finding.change}"
    return sentence[0].upper() + sentence[1:] + "."


def _is_in_place(finding: Finding, words: Vocabulary) -> bool:
    present = finding.presence is Presence.PRESENT and finding.change is not Change.RESOLVED
    return present and is_device(finding.concept, words)


def _opening(finding: Finding) -> list[str]:
    if finding.change is Change.RESOLVED:  # a resolved finding is absent, whatever else is said of it
        return ["resolved"]
    words = list(_OPENINGS[finding.presence])
    return [*words, "new"] if finding.change is Change.NEW else words


def _is_plain_absence(finding: Finding) -> bool:
    return finding == Finding(concept=finding.concept, presence=Presence.ABSENT)


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


_PRESENCE_ORDER = {Presence.PRESENT: 0, Presence.INDETERMINATE: 1, Presence.ABSENT: 2}


def _order(finding: Finding) -> tuple[object, ...]:
    attributes = (finding.laterality, finding.location, finding.severity, finding.change)
    rank = TERM_ORDER.get(finding.concept, len(TERM_ORDER))
    return (_PRESENCE_ORDER[finding.presence], rank, finding.concept, *(value or "" for value in attributes))
