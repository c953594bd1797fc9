"""Converts free text to a normalised report: the findings read, in canonical wording and fixed order.

How to treat what a report does not mention is the caller's choice, never a default: `leave-out` writes
only what was stated; `state-normal` also writes the vocabulary's short list of plain negatives for the
regions that the report does not mention, for training targets that must cover every region. The additions
are returned, so that the share of invented negatives is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from model.findings.extract import read_report
from model.findings.reading import NO_FINDING
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording import NormalisedReport, normalised_report


class Policy(StrEnum):
    """How to treat a concept that a report does not mention."""

    LEAVE_OUT = "leave-out"
    STATE_NORMAL = "state-normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """A normalised report, with the origin of its statements.

    `stated` is what the text says, `added` the negatives that come only from the policy; `unread` are the
    sentences of the text without a finding, so that nothing is lost unnoticed.
    """

    report: NormalisedReport
    stated: tuple[Finding, ...]
    added: tuple[Finding, ...]
    unread: tuple[str, ...]


def normalise(
    text: str, policy: Policy, vocabulary: Vocabulary | None = None, language: str = "en"
) -> Normalised:
    """Rewrite a report, in whatever language with a pack, in the canonical wording of `language`.

    >>> normalise("Small left effusion. Heart size normal.", Policy.LEAVE_OUT).report.findings
    ('The cardiac silhouette is normal in size.', 'Small left pleural effusion.')

    Raises:
        WordingError: no canonical wording is known in the language.
    """
    vocabulary = vocabulary or load_vocabulary()
    reading = read_report(text, vocabulary)
    stated = reading.findings
    added = silent_normals(stated, vocabulary) if policy is Policy.STATE_NORMAL else ()
    refused = tuple(passage for passage, _ in reading.refused)
    report = normalised_report((*stated, *added), vocabulary, language)
    return Normalised(report=report, stated=stated, added=added, unread=(*reading.unread, *refused))


def silent_normals(stated: Iterable[Finding], vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """The plain negatives of the policy `state-normal` that do not contradict anything stated.

    A concept is passed over if it, or another concept of its CheXpert class or an opacity of the lungs
    in its place, is stated in any presence. "No acute abnormality" is added only if nothing but devices is
    present or possible.
    """
    listed = tuple(stated)
    concepts = {f.concept for f in listed}
    open_ = [f for f in listed if f.presence is not Presence.ABSENT]
    classes = {vocabulary.concepts[f.concept].chexpert for f in open_} - {None}
    added = [
        Finding(concept=key, presence=Presence.ABSENT)
        for key in vocabulary.state_normal
        if key not in concepts and vocabulary.concepts[key].chexpert not in classes
    ]
    abnormal = [f for f in open_ if not vocabulary.concepts[f.concept].device and f.concept != NO_FINDING]
    if not abnormal and NO_FINDING not in concepts:
        added.append(Finding(concept=NO_FINDING, presence=Presence.PRESENT))
    return tuple(added)
