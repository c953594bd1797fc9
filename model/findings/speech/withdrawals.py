"""Devices that are gone: "Removed: ETT, NGT", "left drain replaced by a right drain", "one of two removed".

The verb of such a sentence stands where a cue would not reach its device, or reaches one too many.
"""

from __future__ import annotations

from collections.abc import Callable

from model.findings.lexicon import Pack
from model.findings.located import places_of
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token, words_of

_STOPS = frozenset((";", ".", "。"))


def with_withdrawals(marked: Marked) -> list[Token] | None:
    """The tokens with each such verb in a place where it is read; None if there is none."""
    if not any(t.kind in ("synonym", "weak") for t in marked.terms):
        return None
    steps: tuple[Callable[[Marked], list[Token] | None], ...] = (_listed, _replaced, _remaining)
    return next((tokens for step in steps if (tokens := step(marked)) is not None), None)


def _listed(marked: Marked) -> list[Token] | None:
    """ "Removed: ETT, NGT" as "removal of ETT, NGT". Behind a device the verb is the device's own: "drain
    removed: small pneumothorax".
    """
    pack, words = marked.pack.words, marked.words
    if ":" not in marked.bag or pack["removed"].isdisjoint(marked.bag):
        return None
    colon = words.index(":")
    light = pack["removed"] | pack["apparatus"]
    if not colon or pack["removed"].isdisjoint(words[:colon]) or not light.issuperset(words[:colon]):
        return None
    listed = [
        Token(";", t.start, t.end) if t.word == "," and _is_stated(marked, i + 1) else t
        for i, t in enumerate(marked.tokens)
    ]
    return [*_phrase(marked.pack, "removal_of", marked.tokens[0]), *listed[colon + 1 :]]


def _is_stated(marked: Marked, begin: int) -> bool:
    """Whether an item of a list has its own verb or change: "removed: ETT, PICC unchanged"."""
    pack, words = marked.pack.words, marked.words
    end = next((i for i in range(begin, len(words)) if words[i] in _STOPS | {","}), len(words))
    changed = any(begin <= c.start and c.end <= end and c.key != "resolved" for c in marked.changes)
    there = any(a >= begin and b <= end for a, b in places_of(marked, "answers_yes"))
    return changed or there or not pack["verbs"].isdisjoint(words[begin:end])


def _replaced(marked: Marked) -> list[Token] | None:
    """ "Left drain replaced by a right drain" as "left drain removed; a right drain". A device that is only
    renewed is still there: "ETT exchanged for a larger one".
    """
    for begin, end in places_of(marked, "replaced_by"):
        if end == len(marked.words) or marked.words[max(0, begin - 1)] in marked.pack.words["not_done"]:
            continue  # "should be replaced by"
        before = [t for t in _devices(marked) if t.end <= begin and not _parted(marked, t.end, begin)]
        behind = [t for t in _devices(marked) if t.start >= end and not _parted(marked, end, t.start)]
        if not before or not behind or _is_same(marked, before[-1], behind[0], begin):
            continue
        removed = _phrase(marked.pack, "removal_behind", marked.tokens[begin])
        stop = Token(";", marked.tokens[end].start, marked.tokens[end].start)
        return [*marked.tokens[:begin], *removed, stop, *marked.tokens[end:]]
    return None


def _is_same(marked: Marked, old: Span, new: Span, verb: int) -> bool:
    """Whether the new device is of the kind of the old one and on no other side."""
    if old.key != new.key:
        return False
    stop = next((i for i in range(new.end, len(marked.words)) if marked.words[i] in _STOPS | {","}), 10_000)
    before = {s.key for s in marked.sides if s.end <= verb}
    behind = {s.key for s in marked.sides if verb <= s.start < stop}
    return not before or not behind or before == behind


def _remaining(marked: Marked) -> list[Token] | None:
    """ "One of two left drains has been removed" as "left drains has": the others are still there."""
    for begin, end in places_of(marked, "part_of"):
        device = next((t for t in _devices(marked) if t.start >= end), None)
        if device is None or _parted(marked, begin, device.start):
            continue
        following = next((t.start for t in _devices(marked) if t.start >= device.end), len(marked.words))
        cue = next(
            (c for c in marked.cues if c.kind == "after:negated" and device.end <= c.start < following), None
        )
        gone = cue is not None and (
            not marked.pack.words["removed"].isdisjoint(marked.words[cue.start : cue.end])
        )
        if cue is not None and gone and not _parted(marked, device.end, cue.start):
            tokens = marked.tokens
            return [*tokens[:begin], *tokens[end : cue.start], *tokens[cue.end :]]
    return None


def _devices(marked: Marked) -> list[Span]:
    return [t for t in marked.terms if t.kind in ("synonym", "weak")]


def _parted(marked: Marked, begin: int, end: int) -> bool:
    return not _STOPS.isdisjoint(marked.words[begin:end])


def _phrase(pack: Pack, name: str, at: Token) -> list[Token]:
    """The words of a language for what its verb says, at a place of the text."""
    phrase = min(pack.words[name], default="")
    return [Token(word, at.start, at.end) for word in words_of(phrase)]
