"""Finds where a list of denied or hedged things ends: "no effusion, small nodule"."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.scope.predicates import begins_device_in_place, is_predicated_item
from model.findings.spans import Marked, Span

HARD_STOPS = frozenset((";", "."))


def begins_unmarked(marked: Marked, index: int, mentions: Sequence[Span], *, denied: bool = False) -> bool:
    """ "No effusion mild cardiomegaly": a described finding after another, with nothing between.

    denied: a change, an adjective or a device in its place describes it too ("no effusion old fracture").
    """
    end = index
    while denied and end and marked.words[end - 1] in marked.pack.words["seen"]:
        end -= 1  # "no effusion seen stable cardiomegaly"
    if not any(m.end == end for m in mentions):
        return False
    if any(m.start == index and m.kind == "statement" for m in mentions):
        return True  # "no pneumothorax heart enlarged"
    if denied and begins_device_in_place(marked, index):
        return True
    graded = any(s.start == index for s in (*marked.severities, *marked.sides))
    if not graded and not (denied and _has_adjective(marked, index)):
        return False
    first = index if denied else index + 1  # "enlarged heart": an adjective that is a part of the term
    following = next((m for m in sorted(mentions, key=lambda m: m.start) if m.start >= first), None)
    if following is None or following.start - index > 4:
        return False
    pack = marked.pack.words
    joins = pack["alternatives"] | pack["and"] | pack["comma"]
    if not graded and not pack["alternatives"].isdisjoint(marked.words[following.end : following.end + 1]):
        return False  # "no infiltrate enlarged heart or effusion" is a list
    return joins.isdisjoint(marked.words[index : following.start])


def _has_adjective(marked: Marked, index: int) -> bool:
    """Whether a change or another adjective at a place tells of what is there: "old", "enlarged"."""
    pack = marked.pack.words
    changed = any(c.start == index and c.key != "resolved" for c in marked.changes)
    return changed or marked.words[index] in pack["unmarked"] | pack["openers"]


def begins_normal_part(marked: Marked, index: int, mentions: Sequence[Span]) -> bool:
    """ "No widening, trachea central": a body part with a normal state is never a further item of a
    denial.
    """
    normal = [s for s in marked.states if s.key in ("normal", "clear")]
    return any(
        m.kind == "statement"
        and m.start == index + 1
        and any(m.start <= s.start and s.end == m.end for s in normal)
        for m in mentions
    )


def list_ends(marked: Marked, cue: Span, index: int) -> bool:
    """Whether a new statement begins after the comma or conjunction at `index`."""
    words, pack = marked.words, marked.pack.words
    following = index + 1
    while following < len(words) and (words[following] in pack["and"] or words[following] == "then"):
        following += 1
    if following < len(words) and words[following] in pack["alternatives"]:
        return False
    if words[index] == "," and cue.kind == "before:negated" and is_predicated_item(marked, cue, following):
        return True
    rest = rest_of_clause(marked, following)
    if marked.text(cue) in pack["through_lists"]:
        return bool(pack["verbs"].intersection(rest))
    if words[index] == "," and pack["alternatives"].intersection(rest):
        return _has_verb_first(marked, rest)
    single = marked.text(cue) in pack["single_hedges"]
    if single and (words[index] in pack["and"] or words[index] == ","):
        return True
    return opens_statement(marked, following - 1)


def turns(marked: Marked, index: int) -> bool:
    """Whether "with" after a comma or "and" turns a denial round: "without pneumothorax, with effusion"."""
    pack, words = marked.pack.words, marked.words
    opens = words[index] in pack["and"] or words[index] == ","
    behind = words[index + 2] if index + 2 < len(words) else ""
    return opens and words[index + 1 : index + 2] in {(w,) for w in pack["with"]} and behind not in pack["or"]


def begins_aside(marked: Marked, cue: Span, index: int, mentions: Sequence[Span]) -> bool:
    """Whether what is denied ends with words about something else: "… where a chest tube is in place", "…
    post pacemaker".
    """
    if not any(cue.end <= m.start < index for m in mentions):
        return False
    word, pack = marked.words[index], marked.pack.words
    if word in pack["posts"] and any(m.start in (index + 1, index + 2) for m in mentions):
        return True
    # "No shift to the right", in German with the same word.
    return word in pack["asides"] and not any(s.start == index + 1 for s in marked.sides)


def repeats(marked: Marked, cue: Span, mentions: Sequence[Span]) -> int:
    """Where a list of denied things names one of them on another side, and so has ended; -1 for nowhere.

    "No effusion on the left, effusion on the right"; but "no left effusion or right effusion".
    """
    pack, words = marked.pack.words, marked.words
    if (
        not marked.sides
        or words[cue.start] in pack["denies_each"]
        or marked.text(cue) in pack["through_lists"]
    ):
        return -1
    seen: dict[str, int] = {}
    for mention in (m for m in mentions if m.start >= cue.end and m.kind in ("synonym", "weak")):
        stop = next((i for i in range(mention.end, len(words)) if words[i] in HARD_STOPS | {","}), len(words))
        begin = seen.setdefault(mention.key, mention.end)
        if begin == mention.end or not HARD_STOPS.isdisjoint(words[begin : mention.start]):
            continue
        parted = [i for i in range(begin, mention.start) if words[i] == "," or words[i] in pack["and"]]
        first = {s.key for s in marked.sides if cue.end <= s.start < (parted or [mention.start])[-1]}
        own = {s.key for s in marked.sides if (parted or [begin])[-1] <= s.start < stop}
        if parted and own - first and pack["alternatives"].isdisjoint(words[begin:stop]):
            return parted[-1]
    return -1


def opens_statement(marked: Marked, index: int) -> bool:
    """Whether the words after `index` begin a statement: with a word for it, or a part and its state."""
    at = index + 1
    if at < len(marked.words) and marked.words[at] in marked.pack.new_statement:
        return True
    clause = marked.words[index] in marked.pack.words["clause_signs"]
    return _describes_part(marked, at) or (clause and _is_predicated(marked, at))


def _describes_part(marked: Marked, at: int) -> bool:
    """ "No pneumothorax, mediastinum widened": a part with its state needs no verb."""
    part = next((t.end for t in marked.terms if t.kind == "structure" and t.start == at), None)
    if part is None:
        return False
    graded = next((s.end for s in marked.severities if s.start == part), part)
    return any(s.start in (part, graded) and s.key not in ("normal", "clear") for s in marked.states)


def _is_predicated(marked: Marked, at: int) -> bool:
    """Whether a term is a clause with its predicate, where commas part clauses: "未见气胸,心影增大".

    "Fractured" and "opacified" are nouns there: "未见气胸,肋骨骨折" is a list.
    """
    term = next((t for t in marked.terms if t.kind in ("synonym", "weak") and t.start == at), None)
    states = [s for s in marked.states if s.key not in ("fractured", "opacified")]
    return term is not None and any(at < s.start and s.end == term.end for s in (*states, *marked.changes))


def rest_of_clause(marked: Marked, start: int) -> Sequence[str]:
    ends = [c.start for c in marked.cues if c.kind == "end" and c.start >= start]
    ends += [i for i in range(start, len(marked.words)) if marked.words[i] in HARD_STOPS]
    return marked.words[start : min(ends, default=len(marked.words))]


def _has_verb_first(marked: Marked, rest: Sequence[str]) -> bool:
    """Whether a verb occurs before the list continues: ", the heart is enlarged or …"."""
    pack = marked.pack.words
    for word in rest:
        if word in pack["alternatives"]:
            return False
        if word in pack["verbs"]:
            return True
    return False
