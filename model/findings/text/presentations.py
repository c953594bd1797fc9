"""First sentences that introduce the patient: "65M with CHF.", "Pneumonia follow-up.", "肺炎复查。".

They tell why the film was taken and not what it shows, like a history without its heading. A device in them
is on the film all the same. A verb of observation or a change makes such a sentence a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.findings.located import phrases_of
from model.findings.spans import Marked, Reader, Span
from model.findings.text.sentences import Sentence

_MOST = 3  # sentences that may introduce a patient: "Chest PA. 65M with CHF. Now for PICC."
_LONGEST_LEAD = 8  # words before "with"
_LONGEST_REASON = 8  # words of "follow-up of right pneumonia"
_AGED = re.compile(r"\d{1,3}([a-z]{0,6})")


def without_presentations(sentences: Sequence[Sentence], reader: Reader) -> list[Sentence]:
    """The sentences, those at the beginning without the findings that only introduce the patient."""
    found = list(sentences)
    for index, sentence in enumerate(found[:_MOST]):
        marked = reader.mark(sentence.text)
        dropped = tuple(_introduced(marked, reader))
        if dropped:
            places = tuple((sentence.start + a, sentence.start + b) for a, b in dropped)
            found[index] = replace(sentence, dropped=(*sentence.dropped, *places))
        elif marked.terms:
            break
    return found


def _introduced(marked: Marked, reader: Reader) -> Iterator[tuple[int, int]]:
    """The places of the terms that are not read, or of the whole sentence if it names no device."""
    end = _end_of_introduction(marked)
    terms = [term for term in marked.terms if term.end <= end]
    kept = [term for term in terms if _is_device(reader, term)]
    if terms and not kept:
        yield 0, marked.tokens[: end + 1][-1].end  # with the colon
    else:
        yield from (_place(marked, term) for term in terms if term not in kept)


def _end_of_introduction(marked: Marked) -> int:
    """Where the words end that introduce the patient; 0 if the sentence does not."""
    end = marked.words.index(":") if ":" in marked.bag else len(marked.words)
    introduces = _names_patient(marked) or _is_reason(marked, end)
    return end if introduces and not _is_observed(marked, end) else 0


def _is_observed(marked: Marked, end: int) -> bool:
    """Whether the first `end` words tell what is seen: with a verb, a change, a denial or a part's state."""
    if not marked.pack.words["verbs"].isdisjoint(marked.words[:end]):
        return True
    told = [c for c in marked.changes if c.key != "resolved"]  # "chest tube removed"
    told += [c for c in marked.cues if c.kind == "before:negated"]
    if any(term.kind == "structure" for term in marked.terms):
        told += marked.states
    return any(span.start < end for span in told)


def _names_patient(marked: Marked) -> bool:
    """Whether a sentence begins with who the patient is: "65M with", "this 72 year old lady,"."""
    words, pack = marked.words, marked.pack.words
    parted = pack["with"] | {","}
    end = next((i for i, word in enumerate(words[: _LONGEST_LEAD + 1]) if word in parted), 0)
    named = aged = False
    for word in words[:end]:
        number = _AGED.fullmatch(word)
        aged = aged or number is not None
        if number is not None and number[1] and number[1] not in pack["patients"]:
            return False
        named = named or word in pack["patients"] or (number is not None and bool(number[1]))
        if number is None and word not in pack["patients"] | pack["of_patients"]:
            return False
    return named and (aged or words[end] in pack["with"])


def _is_reason(marked: Marked, end: int) -> bool:
    """Whether the first `end` words say only what is followed up: "pneumonia follow-up"."""
    words = marked.words[:end]
    words = words[: -1 if words[-1:] == (".",) else end]
    if not 2 <= len(words) <= _LONGEST_REASON or "," in words:
        return False
    if end < len(marked.words) and not any(term.start > end for term in marked.terms):
        return False  # "follow-up of effusion: none today"
    phrases = phrases_of(marked.pack, "follow_ups")
    return any(words[: len(p)] == p or words[-len(p) :] == p for p in phrases)


def _is_device(reader: Reader, term: Span) -> bool:
    concept = reader.vocabulary.concepts.get(term.key)
    return concept is not None and concept.device


def _place(marked: Marked, span: Span) -> tuple[int, int]:
    return marked.tokens[span.start].start, marked.tokens[span.end - 1].end
