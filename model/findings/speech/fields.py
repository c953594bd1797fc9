"""Fields with an answer for each side: "Effusion: right - none, left - small", "Nodule: RLL yes, LLL no".

Each pair of a place and an answer is a statement of its own. Read as one phrase, the answer of one side would
deny or grade the finding on the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.findings.located import covered, places_of
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token

_LABEL_SIGNS = frozenset((":", "?"))
_STOPS = frozenset((",", ";", ".", "、", "。", "/", "|"))
_UNITS = frozenset(("cm", "mm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A sentence with the places of its words that name a side or a place, and of those that answer."""

    marked: Marked
    sides: frozenset[int] = field(default_factory=frozenset)
    zones: frozenset[int] = field(default_factory=frozenset)
    answers: frozenset[int] = field(default_factory=frozenset)
    terms: frozenset[int] = field(default_factory=frozenset)


Pair = tuple[int, int, int]  # begin of the place, begin of the answer, its end


def with_several_fields(marked: Marked) -> list[Token] | None:
    """Like `with_fields`, for items with several sides: "R - no, L - yes" is no correction of the right."""
    return with_fields(marked, fewest=2)


def with_fields(marked: Marked, fewest: int = 1) -> list[Token] | None:
    """The tokens with the item repeated for each of its sides; None if no item has any with an answer."""
    named = len(marked.sides) + len(marked.places)
    if not named or (named < 2 and _LABEL_SIGNS.isdisjoint(marked.bag)):
        return None
    fields = _fields(marked)
    found: list[Token] = []
    index = 0
    for item in (t for t in marked.terms if t.kind in ("synonym", "weak")):
        pairs = _pairs(fields, item) if item.start >= index and _opens(marked, item) else []
        if len(pairs) < fewest or not pairs:
            continue
        if len(pairs) == 1 and (_is_after_comma(marked, pairs[0]) or not _is_plain(marked, *pairs[0][1:])):
            continue
        found += marked.tokens[index : item.start]
        for begin, answer, end in pairs:
            found += _statement(marked, item, begin, answer, end)
        index = pairs[-1][2]
        if index < len(marked.words) and marked.words[index] in _STOPS:
            index += 1
        elif index < len(marked.words):
            found.pop()  # "left moderate with atelectasis" goes on
    return [*found, *marked.tokens[index:]] if found else None


def pairs_of_item(marked: Marked) -> int:
    """How many sides a sentence that begins with an item and consists of nothing else answers for."""
    items = [t for t in marked.terms if t.kind in ("synonym", "weak")]
    pairs = _pairs(_fields(marked), items[0]) if len(items) == 1 and items[0].start == 0 else []
    return len(pairs) if pairs and _is_end(marked, pairs[-1][2]) else 0


def is_pairs(marked: Marked) -> bool:
    """Whether a sentence is only a side with its answer, "Left: small", or begins with several such pairs."""
    if not marked.sides:
        return False
    pairs = _pairs(_fields(marked), Span("", "", 0, 0))
    return len(pairs) > 1 or (bool(pairs) and _is_end(marked, pairs[-1][2]))


def _is_end(marked: Marked, index: int) -> bool:
    return _STOPS.issuperset(marked.words[index:])


def _fields(marked: Marked) -> Fields:
    pack = marked.pack.words
    cues = tuple(c for c in marked.cues if c.kind.startswith(("after:", "before:")))
    said = {i for i, w in enumerate(marked.words) if w in pack["none"] or w[:1].isdigit() or w in _UNITS}
    for begin, end in (*places_of(marked, "answers_no"), *places_of(marked, "answers_yes")):
        said.update(range(begin, end))
    sides = covered(tuple(s for s in marked.sides if s.key in ("left", "right", "bilateral")))
    zones = covered(marked.places, tuple(t for t in marked.terms if t.kind == "structure")) - sides
    nouns = covered(tuple(t for t in marked.terms if t.kind != "structure"))
    answers = covered(marked.severities, marked.changes, cues) | said
    return Fields(
        marked=marked,
        sides=sides - nouns,
        zones=zones - nouns,
        answers=answers - sides - zones - nouns - {i for i, w in enumerate(marked.words) if w in _STOPS},
        terms=nouns,
    )


def _opens(marked: Marked, item: Span) -> bool:
    """Whether an item begins its sentence or follows a stop, so that no word before it is about it."""
    return item.start == 0 or marked.words[item.start - 1] in _STOPS


def _pairs(fields: Fields, item: Span) -> list[Pair]:
    """The places and answers that follow an item; without a colon, its first answer must be yes or no."""
    words, pack = fields.marked.words, fields.marked.pack.words
    at = item.end
    label = at < len(words) and words[at] in _LABEL_SIGNS
    found: list[Pair] = []
    at += label
    while at < len(words):
        begin = at
        while at < len(words) and words[at] in pack["at"] | pack["articles"]:
            at += 1
        at = _place_end(fields, at)
        if at < 0:
            break
        place = at
        while at < len(words) and words[at] in (":", ",", "("):
            at += 1
        end = _answer_end(fields, at)
        if end < 0 or any(words[begin:at] == words[a:b] for a, b, _ in found):
            break
        if not label and item.end and words[place] != ":" and not _is_plain(fields.marked, at, end):
            break
        if found and place == at and _is_after_comma(fields.marked, found[-1]):
            break  # "right, no, left small" takes the right back
        found.append((begin, at, end))
        at = end
        while at < len(words) and (words[at] in _STOPS | _LABEL_SIGNS or words[at] in pack["and"]):
            at += 1
    return found


def _is_after_comma(marked: Marked, pair: Pair) -> bool:
    return marked.words[pair[1] - 1] == "," and _is_plain(marked, pair[1], pair[2])


def _place_end(fields: Fields, at: int) -> int:
    """Where a place ends that begins here; -1 if none does."""
    end = at
    while end in fields.sides or end in fields.zones:
        end += 1
    return end if end > at else -1


def _answer_end(fields: Fields, at: int) -> int:
    """Where an answer ends that begins here, with a zone or a further grade behind it; -1 if none does."""
    end = _run(fields, at)
    if end == at:
        return -1
    words = fields.marked.words
    while end < len(words) and words[end] == ",":  # "left small, unchanged"
        further = _run(fields, end + 1)
        if further == end + 1 or (further < len(words) and words[further] not in _STOPS):
            break
        end = further
    if end in fields.terms or words[end : end + 1] == ("/",):
        return -1  # "n/a"; "left small pneumothorax" is another finding's
    return end + (end < len(words) and words[end] == ")")


def _run(fields: Fields, at: int) -> int:
    """Where the words that answer end; zones and verbs belong to them, but open none."""
    pack, words = fields.marked.pack.words, fields.marked.words
    light = pack["verbs"] | pack["seen"] | pack["pronouns"] | pack["elided"] - pack["at"] - pack["articles"]
    end, said = at, False
    while end < len(words):
        if end in fields.answers:
            said = True
        elif not (words[end] in light or (said and end in fields.zones)) or end in fields.sides:
            break
        end += 1
    return end if said else at


def _is_plain(marked: Marked, begin: int, end: int) -> bool:
    """Whether an answer is nothing but yes or no."""
    pack = marked.pack.words
    said = " ".join(marked.words[begin:end])
    return said in pack["answers_yes"] or said in pack["answers_no"]


def _statement(marked: Marked, item: Span, begin: int, answer: int, end: int) -> list[Token]:
    """The side, the item, and its answer as in a form."""
    tokens = marked.tokens
    place = [t for t in tokens[begin:answer] if t.word not in (":", ",", "(")]
    said = [t for t in tokens[answer:end] if t.word != ")"]
    first, last = tokens[answer], tokens[end - 1]
    covers = {c.kind for c in marked.cues if (c.start, c.end) == (answer, end)}
    if covers == {"before:negated"}:  # "links keiner"
        return [*said, *place, *tokens[item.start : item.end], Token(";", last.end, last.end)]
    return [
        *place,
        *tokens[item.start : item.end],
        Token(":", first.start, first.start),
        *said,
        Token(";", last.end, last.end),
    ]
