"""Mentions: words that could state a concept, as terms of the vocabulary or states of body parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model.findings.spans import Marked, Span
from model.findings.statements import Statement, statements_of
from model.findings.vocabulary import Vocabulary

Kind = Literal["synonym", "weak", "inverse", "denial", "normal", "weak_normal", "state", "weak_state"]
_KINDS: dict[str, Kind] = {"synonym": "synonym", "weak": "weak", "inverse": "inverse", "denial": "denial"}


@dataclass(frozen=True, slots=True)
class Mention:
    """A span with the concepts that it could state. `statement` is set if they come from a state."""

    span: Span
    concepts: tuple[str, ...]
    kind: Kind
    statement: Statement | None = None

    @property
    def only_hints(self) -> bool:
        """Whether any plain statement about the concept outweighs this one."""
        return self.kind in ("weak", "weak_state", "weak_normal", "denial")

    @property
    def core(self) -> Span:
        """The words that a cue must govern: in "the heart is not enlarged" only the state."""
        return self.span if self.statement is None else self.statement.state


def mentions_of(marked: Marked, vocabulary: Vocabulary) -> tuple[Mention, ...]:
    """All mentions of a sentence, in its order."""
    statements = statements_of(marked, vocabulary.structures)
    local = [s.state for s in statements]  # "the bones show no acute abnormality" is said of the bones only
    found = [
        Mention(term, (term.key,), _KINDS[term.kind])
        for term in marked.terms
        if term.kind in _KINDS
        and not (term.kind == "inverse" and any(s.start < term.end and term.start < s.end for s in local))
    ]
    found += [_of_statement(statement) for statement in statements if statement.concepts]
    found = _without_generic(marked, found, vocabulary)
    unique = {(m.span.start, m.span.end, m.concepts, m.kind): m for m in found}
    return tuple(sorted(unique.values(), key=lambda m: (m.span.start, m.span.end)))


def _of_statement(statement: Statement) -> Mention:
    span = Span("statement", statement.state.key, statement.span.start, statement.span.end)
    kind: Kind = "normal" if statement.normal else "state"
    if statement.weak:
        kind = "weak_normal" if statement.normal else "weak_state"
    return Mention(span, statement.concepts, kind, statement)


def _without_generic(marked: Marked, found: Sequence[Mention], vocabulary: Vocabulary) -> list[Mention]:
    """Leave out "catheter" and the like if the sentence names a device: "port with catheter tip …"."""
    generic = marked.pack.words["generic_devices"]
    if generic.isdisjoint(marked.bag):
        return list(found)
    named = any(
        any(vocabulary.concepts[key].device for key in m.concepts) and marked.text(m.span) not in generic
        for m in found
    )
    return [m for m in found if not named or marked.text(m.span) not in generic]
