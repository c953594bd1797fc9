"""Finds what cues govern: the scope of denying, hedging, historical and hypothetical words in a sentence.

Based on ConText (Harkema, Dowling, Thornblade and Chapman, 2009): a cue governs the words before or after it
until its scope ends. In addition we determine where a list ends ("no effusion, small nodule" but "no
effusion, nodule or mass") and verbs that bound a scope to the left.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.located import covered
from model.findings.scope.earlier_films import shown_before
from model.findings.scope.lists import (
    HARD_STOPS,
    begins_aside,
    begins_normal_part,
    begins_unmarked,
    list_ends,
    opens_statement,
    repeats,
    rest_of_clause,
    turns,
)
from model.findings.scope.other_films import says_other_film
from model.findings.scope.predicates import begins_device_in_place, states_in_brackets
from model.findings.scope.relative_clauses import spans_relative_clause
from model.findings.scope.scope import Scope
from model.findings.spans import Marked, Span


def scopes_of(marked: Marked, mentions: Sequence[Span]) -> tuple[Scope, ...]:
    """The scopes of all cues of a sentence. `mentions`: the spans that could be governed."""
    found = [*shown_before(marked), *_asked_by_inversion(marked)]
    if marked.cues:
        found = [*_denies_behind_no_change(marked), *found]
    for cue in marked.cues:
        direction, _, kind = cue.kind.partition(":")
        if direction == "before" and _looks_forward(marked, cue, mentions):
            found.append(Scope(cue, kind, cue.end, _forward_end(marked, cue, kind, mentions), True))
        elif direction == "after" and _looks_back(marked, cue, mentions):
            negates = marked.pack.words["not"].intersection(marked.words[cue.start : cue.end])
            if kind == "negated" and negates and says_other_film(marked, cue):
                continue
            found.append(Scope(cue, kind, _backward_start(marked, cue, mentions), cue.start, False))
    return tuple(found)


def _denies_behind_no_change(marked: Marked) -> list[Scope]:
    """ "No change or new effusion" denies the effusion; "no change in the effusion" does not."""
    alternatives = marked.pack.words["alternatives"] - {"/"}
    found = []
    for cue in marked.cues:
        follows = marked.words[cue.end : cue.end + 1]
        if (
            cue.kind == "pseudo"
            and marked.words[cue.start] in marked.pack.words["none"]
            and alternatives.intersection(follows)
        ):
            end = cue.end + len(rest_of_clause(marked, cue.end))
            found.append(
                Scope(Span("before:negated", "negated", cue.start, cue.end), "negated", cue.end, end, True)
            )
    return found


def _asked_by_inversion(marked: Marked) -> list[Scope]:
    """ "Should effusion be suspected, ultrasound is recommended." states no effusion."""
    if not marked.words or marked.words[0] not in marked.pack.words["conditionals"]:
        return []
    end = next((i for i, word in enumerate(marked.words) if word in (",", ";")), len(marked.words))
    return [Scope(Span("before:hypothetical", "hypothetical", 0, 1), "hypothetical", 1, end, True)]


def _is_both(marked: Marked, cue: Span) -> bool:
    return {c.kind.partition(":")[0] for c in marked.cues if (c.start, c.end) == (cue.start, cue.end)} >= {
        "before",
        "after",
    }


def _looks_forward(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    return not _is_both(marked, cue) or not _postposed(marked, cue, mentions)


def _looks_back(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    if cue.kind == "after:negated" and _is_of_a_tip(marked, cue):
        return False
    if marked.text(cue) in marked.pack.words["single_hedges"] and _goes_on(marked, cue):
        return False  # "thickening, likely post inflammatory"
    if not _is_both(marked, cue) or marked.text(cue) in marked.pack.words["between"]:
        return True
    return _postposed(marked, cue, mentions)


def _is_of_a_tip(marked: Marked, cue: Span) -> bool:
    """ "NG tube tip not seen": the end of the tube is not seen, not the tube."""
    pack = marked.pack.words
    at = cue.start
    while at and marked.words[at - 1] in pack["verbs"]:
        at -= 1
    tip = at > 0 and marked.words[at - 1] in pack["ends_of_devices"]
    return tip and not pack["not"].isdisjoint(marked.words[cue.start : cue.end])


def _goes_on(marked: Marked, cue: Span) -> bool:
    """Whether words of the same clause follow a cue."""
    following = marked.words[cue.end : cue.end + 1]
    return bool(following) and following[0].isalpha() and following[0] not in marked.pack.words["walls"]


def _postposed(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    """Whether a cue that may be on either side follows the words that it governs."""
    text, words = marked.text(cue), marked.words
    follows = cue.end < len(words) and words[cue.end] not in (",", ";", ".", ")", "/", "(")
    behind = any(cue.end <= m.start <= cue.end + 6 for m in mentions) and follows
    before = cue.start > 0 and any(m.end <= cue.start for m in mentions)
    if text in marked.pack.words["answers_no"]:  # an answer: "Effusion: no", "right effusion, absent"
        sign = words[cue.start - 1]
        alone = cue.end == len(words) or words[cue.end] in (",", ";", ".")
        return before and not behind and (sign in (":", "(") or (sign == "," and alone))
    if follows and words[cue.start - 1 : cue.start] == (",",):
        return False  # "右侧气胸,未见纵隔移位": of what follows, whether the vocabulary has it or not
    return before and not behind


def _forward_end(marked: Marked, cue: Span, kind: str, mentions: Sequence[Span]) -> int:
    if marked.text(cue) == "non":  # "non-displaced fracture" denies the displacement only
        return cue.end + 1 if any((m.start, m.end) == (cue.end, cue.end + 1) for m in mentions) else cue.end
    pack, words = marked.pack.words, marked.words
    begin = _behind_lead(marked, cue)
    ends = {c.start for c in marked.cues if c.kind == "end" and c.start >= begin}
    openers = {c.start for c in marked.cues if c.kind == "before:negated" and c.start > cue.end}
    before = words[: cue.start]
    bracketed = before.count("(") > before.count(")")
    parting = pack["and"] | pack["with"] | {",", ":"}
    again = repeats(marked, cue, mentions) if kind == "negated" else -1
    for index in range(begin, len(words)):
        word = words[index]
        if index == again or (kind == "negated" and begins_aside(marked, cue, index, mentions)):
            return index
        if index in ends or word in HARD_STOPS or (word == ")" and bracketed):
            return index
        if index > cue.end and begins_unmarked(marked, index, mentions, denied=kind == "negated"):
            return index
        if kind == "negated" and index > cue.end and states_in_brackets(marked, cue, index, mentions):
            return index
        if word in parting and index > cue.end:
            if kind != "negated" and index + 1 in openers:
                return index
            if kind == "negated" and turns(marked, index):
                return index
            if word in pack["with"] and kind == "negated" and index + 1 not in openers:
                if not opens_statement(marked, index) and not begins_device_in_place(marked, index + 1):
                    continue
                return index
            if word == ":" or list_ends(marked, cue, index) or begins_normal_part(marked, index, mentions):
                return index
    return len(words)


def _behind_lead(marked: Marked, cue: Span) -> int:
    """Where the scope of a cue may begin: in "negative for the following: effusion" after the colon."""
    index = cue.end
    while index < len(marked.words) and marked.words[index] in marked.pack.words["leads"]:
        index += 1
    return index + 1 if marked.words[index : index + 1] == (":",) else cue.end


def _backward_start(marked: Marked, cue: Span, mentions: Sequence[Span]) -> int:
    words, pack = marked.words, marked.pack.words
    ended = covered([c for c in marked.cues if c.kind == "end"])
    if marked.text(cue) in pack["between"]:  # not the finding before "…, ARDS versus edema"
        near = [m.start for m in mentions if m.end <= cue.start and "," not in words[m.end : cue.start - 1]]
        return max(near, default=cue.start)
    if {":", "("} & set(words[max(0, cue.start - 1) : cue.end]):  # an answer governs what it follows
        return _label_start(marked, cue, mentions)
    parting = pack["and"] | pack["with"] | {","}
    passed_mention = False
    if _has_own_subject(marked, cue, mentions):
        return cue.start
    apposed = words[cue.start - 1 : cue.start] == (",",)  # "opacity, likely atelectasis, has cleared"
    for index in range(cue.start - 1, -1, -1):
        word = words[index]
        if word in pack["clause_signs"] and passed_mention:
            return index + 1
        if index in ended and not passed_mention and _lacks_subject(marked, index, cue):
            continue
        if index in ended and spans_relative_clause(marked, index, cue, mentions):
            continue
        if word in HARD_STOPS or index in ended:
            return index + 1
        if word in pack["verbs"] and passed_mention:
            return index + 1
        listed = word in parting and passed_mention and not _is_of_several(marked, index, cue)
        if listed and _statement_before(marked, index):
            return index + 1
        if listed and word == "," and not apposed and _is_described(marked, index, cue, mentions):
            return index + 1
        if listed and word == "," and cue.kind == "after:uncertain" and _is_graded(marked, index, cue):
            return index + 1
        passed_mention = passed_mention or any(m.start == index for m in mentions)
    return 0


def _is_graded(marked: Marked, index: int, cue: Span) -> bool:
    """Whether the item between a comma and a hedge is graded: "ribs broken, small effusion not excluded"."""
    article = marked.words[index + 1] in marked.pack.words["links"] | marked.pack.words["pronouns"]
    begin = index + 1 + article
    return "," not in marked.words[begin : cue.start] and any(s.start == begin for s in marked.severities)


def _has_own_subject(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    """Whether a cue has a subject that is not a finding: "fracture, displacement not seen"."""
    sign = next((i for i in range(cue.start - 1, -1, -1) if marked.words[i] in (",", "、")), -1)
    if sign < 0 or any(m.start > sign and m.end <= cue.start for m in mentions):
        return False
    return not _lacks_subject(marked, sign, cue) and any(m.end <= sign for m in mentions)


def _lacks_subject(marked: Marked, index: int, cue: Span) -> bool:
    """Whether nothing new is named between an end and a cue: "but cannot be excluded", "which has gone"."""
    pack = marked.pack.words
    light = (
        pack["pronouns"] | pack["elided"] | pack["verbs"] | pack["relatives"] | pack["walls"] | pack["and"]
    )
    light |= pack["former"] | pack["this_film"] | {",", "、", "(", ")", "-"}
    ends = [c for c in marked.cues if c.kind == "end"]
    graded = covered(marked.severities, marked.sides, marked.places, ends)
    between = range(index, cue.start)
    return all(i in graded or marked.words[i] in light for i in between)


def _label_start(marked: Marked, cue: Span, mentions: Sequence[Span]) -> int:
    """Where a label begins that an answer governs: "effusion / pneumothorax: none" denies both."""
    words, start = marked.words, cue.start - (marked.words[cue.start - 1] in (":", "("))
    passed = False
    while start > 0 and words[start - 1] not in (";", ".", ":") and cue.start - start < 12:
        if words[start - 1] == "," and passed and _is_described(marked, start - 1, cue, mentions):
            break
        start -= 1
        passed = passed or any(m.start == start for m in mentions)
    near = [
        m.start
        for m in mentions
        if cue.start - 3 <= m.end <= cue.start and "," not in words[m.end : cue.start]
    ]
    label = words[start : cue.start]
    if near and any(word in marked.pack.words["verbs"] for word in label):
        return max(near)
    return start if near else cue.start


def _is_of_several(marked: Marked, index: int, cue: Span) -> bool:
    """Whether a verb of several subjects governs a list: "…, consolidation and opacity have resolved"."""
    pack, behind = marked.pack.words, marked.words[index : cue.end]
    listed = not (pack["and"] | pack["or"]).isdisjoint(behind)
    return listed and not pack["verbs_of_several"].isdisjoint(behind)


def _is_described(marked: Marked, index: int, cue: Span, mentions: Sequence[Span]) -> bool:
    """Whether the words before a comma are a description, and so not an item of a list that a cue governs.

    "Small effusion, pneumothorax absent"; but "effusion, pneumothorax absent".
    """
    begin = max((i + 1 for i in range(index) if marked.words[i] in (",", "、", *HARD_STOPS)), default=0)

    def inside(spans: Sequence[Span]) -> bool:
        return any(begin <= s.start and s.end <= index for s in spans)

    own = {s.key for s in marked.sides if begin <= s.start and s.end <= index}
    sided = bool(own) and own != {s.key for s in marked.sides if index < s.start < cue.start}
    statements = [m for m in mentions if m.kind == "statement"]
    # "Enlarged heart": an adjective that is a part of the term.
    enlarged = [t for t in marked.terms if any(s.start == t.start and s.end < t.end for s in marked.states)]
    old = not marked.pack.words["old"].isdisjoint(marked.words[begin:index])
    return sided or old or any(map(inside, (marked.severities, marked.changes, statements, enlarged)))


def _statement_before(marked: Marked, index: int) -> bool:
    """Whether the words left of `index`, up to the last end, are a statement with its own verb or change."""
    pack = marked.pack.words
    ends = [c.start for c in marked.cues if c.kind == "end" and c.start < index]
    begin = max(ends, default=0)
    before = marked.words[begin:index]
    terms = [t.end for t in marked.terms if begin <= t.start and t.end <= index]
    if terms and any(c.end == index and c.start >= terms[0] for c in marked.changes):
        return True  # "left effusion unchanged, …"
    return bool(pack["verbs"].intersection(before)) or (bool(before) and before[0] in pack["openers"])
