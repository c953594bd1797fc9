"""From an English chest report to its findings: concept, presence, side, place, severity, change, evidence.

The report is cut into sentences (`sentences`), each is read on its own (`reading`), and what they say is
merged (`merge`). What no sentence states is not mentioned: no finding is ever made from silence, and
every finding carries its sentence.
"""

from __future__ import annotations

from collections.abc import Iterable

from model.findings.merge import Read, merged
from model.findings.reading import NO_FINDING, read_sentence
from model.findings.sentences import sentences_of
from model.findings.spans import reader_for
from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary

MAX_CHARACTERS = 40_000  # a longer text is no chest report; the rest is not read
SURVEY = 3  # denied classes that make a report a survey of the chest


def extract_findings(text: str, vocabulary: Vocabulary | None = None) -> tuple[Finding, ...]:
    """The findings that a report states, in the order in which it states them first.

    Findings of one concept and presence whose attributes agree become one, with the most specific
    attributes; left and right stay apart. A concept that is not mentioned has no finding. Any text is
    answered; of a text longer than `MAX_CHARACTERS` the beginning is read.
    """
    vocabulary = vocabulary or load_vocabulary()
    reader = reader_for(vocabulary)
    found: list[Read] = []
    for sentence in sentences_of(text[:MAX_CHARACTERS]):
        found += read_sentence(reader, sentence.text)
    return merged(found, vocabulary)


def chexpert_classes(
    findings: Iterable[Finding], vocabulary: Vocabulary | None = None
) -> dict[str, Presence]:
    """The roll-up to the CheXpert classes that are mentioned: present, else indeterminate, else absent.

    `No Finding` is present if nothing but devices is present or possible and the report says so ("no
    acute abnormality") or denies at least three classes: one denied finding is not a normal chest.
    Source: Irvin et al., "CheXpert", section 3 (labels are aggregated with this priority).
    """
    vocabulary = vocabulary or load_vocabulary()
    known = [(vocabulary.concepts[f.concept], f) for f in findings if f.concept in vocabulary.concepts]
    classes: dict[str, Presence] = {}
    for concept, finding in known:
        if concept.chexpert and concept.key != NO_FINDING:
            classes[concept.chexpert] = stronger(classes.get(concept.chexpert), finding.presence)
    positive = any(
        f.presence is not Presence.ABSENT and not c.device and c.key != NO_FINDING for c, f in known
    )
    says_so = any(c.key == NO_FINDING and f.presence is Presence.PRESENT for c, f in known)
    if not positive and (says_so or len(set(classes) - {"Support Devices"}) >= SURVEY):
        classes["No Finding"] = Presence.PRESENT
    return {name: classes[name] for name in vocabulary.chexpert_classes if name in classes}


def stronger(first: Presence | None, second: Presence) -> Presence:
    """Of two statements the one that a summary shows: present, else indeterminate, else absent."""
    order = (Presence.PRESENT, Presence.INDETERMINATE, Presence.ABSENT)
    return second if first is None else min(first, second, key=order.index)
