"""Whether an item of a list is a statement of its own: "no pneumothorax, effusion unchanged"."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.located import covered
from model.findings.spans import Marked, Span

_FINDINGS = frozenset(("synonym", "weak"))
_UNITS = frozenset(("mm", "cm"))


def is_predicated_item(marked: Marked, cue: Span, at: int) -> bool:
    """Whether the item that begins at `at` says something about its finding, and so is not denied by `cue`.

    A change, a grade or a size behind the finding, a verb, or the words for a device in its place say it.
    "Nodule larger than 5 mm" names a kind of nodule, and "effusion, consolidation seen" is one list.
    """
    end = _item_end(marked, at)
    term = next((t for t in marked.terms if t.kind in _FINDINGS and at <= t.start < end), None)
    if term is None or any(term.end <= t.start < end for t in marked.terms if t.kind != "structure"):
        return False
    opens = marked.words[at : term.start]
    if not marked.pack.words["verbs"].isdisjoint(opens):
        return False
    if _has_change(marked, term, end):
        return True
    if marked.words[end : end + 1] and marked.words[end] in marked.pack.words["alternatives"]:
        return False
    return (
        _has_grade(marked, term, end)
        or _has_size(marked, term)
        or is_in_place(marked, term)
        or _has_verb(marked, cue, term, at)
    )


def is_in_place(marked: Marked, term: Span) -> bool:
    """ "Chest tube in place": what is said only of a device that is there."""
    phrases = marked.pack.words["in_place"]
    begin = term.end + (marked.words[term.end : term.end + 1] == (":",))  # read as an answer
    behind = marked.words[begin : begin + 3]
    return any(" ".join(behind[:length]) in phrases for length in range(1, len(behind) + 1))


def begins_device_in_place(marked: Marked, at: int) -> bool:
    """Whether a device begins at a place that is said to be there."""
    return any(t.start == at and is_in_place(marked, t) for t in marked.terms if t.kind in _FINDINGS)


def _item_end(marked: Marked, at: int) -> int:
    stops = marked.pack.words["alternatives"] | marked.pack.words["and"] | marked.pack.words["comma"]
    stops |= marked.pack.words["walls"] | {",", ";", ".", "(", ")", ":", "、"}
    return next((i for i in range(at, len(marked.words)) if marked.words[i] in stops), len(marked.words))


def _is_light(marked: Marked, start: int, end: int) -> bool:
    """Whether only places, sides and verbs stand between a finding and what is said of it."""
    pack = marked.pack.words
    light = pack["links"] | pack["at"] | pack["verbs"] | pack["elided"] | pack["ends_of_devices"]
    placed = covered(marked.sides, marked.places)
    return all(i in placed or marked.words[i] in light for i in range(start, end))


def _has_change(marked: Marked, term: Span, end: int) -> bool:
    for change in marked.changes:
        if change.key == "new" or not term.end <= change.start < end:
            continue  # "no effusion, consolidation new since the prior"
        if _is_bound(marked, change.end) or not _is_light(marked, term.end, change.start):
            continue
        return True
    return False


def _is_bound(marked: Marked, at: int) -> bool:
    """ "Larger than 5 mm", not "larger than before"."""
    behind = marked.words[at : at + 2]
    return len(behind) == 2 and behind[0] in marked.pack.words["than"] and behind[1][0].isdigit()


def _has_grade(marked: Marked, term: Span, end: int) -> bool:
    return any(
        term.end <= s.start and s.end <= end and _is_light(marked, term.end, s.start)
        for s in marked.severities
    )


def _has_size(marked: Marked, term: Span) -> bool:
    words, at = marked.words, term.end
    linking = {word for word in marked.pack.words["copulas"] if word.isalpha()}
    while at < len(words) and (words[at] in linking or _is_light(marked, at, at + 1)):
        at += 1
    number = words[at] if at < len(words) else ""
    return number[:1].isdigit() and (number[-2:] in _UNITS or not _UNITS.isdisjoint(words[at + 1 : at + 2]))


def _has_verb(marked: Marked, cue: Span, term: Span, at: int) -> bool:
    """ "Atelectasis is noted"; but in "no effusion, consolidation is seen" the verb may be the list's."""
    pack, words = marked.pack.words, marked.words
    verb, behind = words[term.end : term.end + 1], words[term.end + 1 : term.end + 2]
    if not verb or verb[0] not in pack["verbs"] or verb[0] in pack["seen"] | {"there"}:
        return False
    listed = "," in words[cue.end : at - 1] or verb[0] in pack["verbs_of_several"]
    return bool(behind) and (behind[0] not in pack["seen"] or (behind[0] in pack["affirms"] and not listed))


def states_in_brackets(marked: Marked, cue: Span, index: int, mentions: Sequence[Span]) -> bool:
    """Whether a bracket at the end of a clause holds a statement: "no pneumothorax (small left effusion)"."""
    if marked.words[index] != "(" or ")" not in marked.words[index:]:
        return False
    close = marked.words.index(")", index)
    inside = marked.words[index + 1 : close]
    if not inside:
        return False
    if inside[0] not in marked.pack.new_statement and not is_predicated_item(marked, cue, index + 1):
        return False
    if not marked.pack.words["alternatives"].isdisjoint(inside):
        return False
    following = marked.words[close + 1 : close + 2]
    named = any(index < m.start < close for m in mentions)
    return named and (not following or following[0] in (".", ";"))
