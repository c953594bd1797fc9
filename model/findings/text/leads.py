"""Lists under a line that denies, hedges or asks: "No evidence of:" above "- effusion" and "- pneumothorax".

Each item is read with the words of that line before it, as if they were one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.findings.spans import Marked, Reader
from model.findings.text.items import BULLET
from model.findings.text.sentences import Sentence

_LONGEST_LEAD, _LONGEST_ITEM = 80, 60  # characters
_BLANK = re.compile(r"\n[^\S\n]{0,40}\n")


def with_leads(text: str, sentences: Sequence[Sentence], reader: Reader) -> Iterator[Sentence]:
    """The sentences, each item of such a list with the line above it as its `lead`."""
    lead = ""
    previous: Sentence | None = None
    for sentence in sentences:
        if previous is not None and not _goes_on(text, previous, sentence, reader):
            lead = ""
        if not lead and previous is not None and _is_item(text, previous, sentence):
            lead = _lead(previous.text, reader)
        yield replace(sentence, lead=lead) if lead else sentence
        previous = sentence


def _is_item(text: str, previous: Sentence, sentence: Sentence) -> bool:
    """Whether a sentence begins a new line directly below another one."""
    between = text[previous.end : sentence.start]
    return "\n" in between and _BLANK.search(between) is None


def _goes_on(text: str, previous: Sentence, sentence: Sentence, reader: Reader) -> bool:
    """Whether a list continues: with a marked item, or with a few words without a cue."""
    if not _is_item(text, previous, sentence):
        return False
    marked_item = BULLET.match(text, previous.end + text[previous.end : sentence.start].rfind("\n") + 1)
    if marked_item is not None:
        return True
    marked = reader.mark(sentence.text) if len(sentence.text) <= _LONGEST_ITEM else None
    return marked is not None and not (
        marked.cues or ":" in marked.bag or marked.bag & marked.pack.words["verbs"]
    )


def _lead(line: str, reader: Reader) -> str:
    """A line that ends in words that deny, hedge or ask; empty if it does not."""
    line = line.split("\n", 1)[0].strip()
    if len(line) > _LONGEST_LEAD:
        return ""
    marked = reader.mark(line)
    if any(t.kind in ("synonym", "weak") for t in marked.terms):
        return ""
    ends = {c.end for c in marked.cues if c.kind.startswith("before:")}
    if len(marked.words) in ends and marked.words[-1] == ":":  # "Not seen:": the colon is a part of the cue
        return line
    end = len(marked.words) - (marked.words[-1:] == (":",))
    while end and end not in ends and marked.words[end - 1] in marked.pack.words["leads"]:
        end -= 1
    if end not in ends or _is_answer(marked, end):
        return ""
    return line.rstrip(" :")


def _is_answer(marked: Marked, end: int) -> bool:
    """Whether the words up to a place answer something before them: "Scoliosis: No", "Scoliosis No"."""
    cue = min((c.start for c in marked.cues if c.kind.startswith("before:") and c.end == end), default=0)
    if not cue:
        return False
    alone = end == len(marked.words) and marked.words[cue] in marked.pack.words["answers_no"]
    subject = marked.words[cue - 1] not in marked.pack.words["verbs"]  # not "there is no"
    return marked.words[cue - 1] in (":", "-", "=") or (alone and subject)
