"""From an English chest report to its findings: concept, presence, side, place, severity, change, evidence.

The way of a sentence: mark terms and cues (`spans`), tie states to parts of the body (`statements`),
decide what is denied, hedged, historical or only asked for (`context`), read the attributes
(`attributes`). The findings of all sentences are then merged (`merge`). What no sentence states is not
mentioned: no finding is ever made from silence, and every finding carries its sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from model.findings.attributes import Attributes, attributes_of, share, sides_with_severities
from model.findings.context import Context, Scope, Status, context_of, scopes_of
from model.findings.merge import Read, merged
from model.findings.sentences import sentences_of
from model.findings.spans import Marked, Reader, Span, reader_for
from model.findings.statements import Statement, is_quiet, statements_of
from model.findings.territory import Territory, territories
from model.findings.types import Change, Finding, Laterality, Presence
from model.findings.vocabulary import Concept, Vocabulary, load_vocabulary

NO_FINDING = "no_finding"
MAX_CHARACTERS = 100_000  # a longer text is no chest report; the rest is not read


@dataclass(frozen=True, slots=True)
class _Mention:
    """A place in a sentence that could state concepts: a term, or a state of a part of the body."""

    span: Span
    concepts: tuple[str, ...]
    kind: str  # synonym, weak, inverse, denial, normal, weak_normal, state, weak_state


def extract_findings(text: str, vocabulary: Vocabulary | None = None) -> tuple[Finding, ...]:
    """The findings that a report states, in the order in which it states them first.

    Findings of one concept and presence whose attributes agree become one, with the most specific
    attributes; left and right stay apart. A concept that is not mentioned has no finding.
    """
    vocabulary = vocabulary or load_vocabulary()
    reader = reader_for(vocabulary)
    found: list[Read] = []
    for sentence in sentences_of(text[:MAX_CHARACTERS]):
        found += _read(reader, sentence.text)
    return merged(found, vocabulary)


def chexpert_classes(
    findings: Iterable[Finding], vocabulary: Vocabulary | None = None
) -> dict[str, Presence]:
    """The roll-up to the CheXpert classes that are mentioned: present, else indeterminate, else absent.

    `No Finding` is present if something was stated and nothing but devices is present or possible.
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
    if any(not c.device for c, _ in known) and not positive:
        classes["No Finding"] = Presence.PRESENT
    order = vocabulary.chexpert_classes
    return {name: classes[name] for name in order if name in classes}


def stronger(first: Presence | None, second: Presence) -> Presence:
    """Of two statements the one that a summary shows: present, else indeterminate, else absent."""
    order = (Presence.PRESENT, Presence.INDETERMINATE, Presence.ABSENT)
    return second if first is None else min(first, second, key=order.index)


def _read(reader: Reader, sentence: str) -> list[Read]:
    marked = reader.mark(sentence)
    mentions = _mentions(marked, reader.vocabulary)
    if not mentions:
        return []
    spans = [m.span for m in mentions]
    governed = [t for t in marked.terms if t.kind != "structure"] + [
        m.span for m in mentions if m.span.kind == "statement"
    ]
    scopes = scopes_of(marked, governed)
    areas = {id(t.mention): t for t in territories(marked, spans)}
    attributes = share(marked, _attributes(marked, mentions, areas, reader.vocabulary))
    found: list[Read] = []
    for mention, attribute in zip(mentions, attributes, strict=True):
        context = _context(marked, mention, scopes, governed)
        if context.status is Status.AFFIRMED and _alternative(marked, mention, mentions):
            context = Context(Status.UNCERTAIN)
        area = areas[id(mention.span)]
        for key in mention.concepts:
            concept = _refined(marked, reader.vocabulary, key, area)
            found += _findings(marked, mention, concept, context, attribute, area, sentence)
    return found


def _mentions(marked: Marked, vocabulary: Vocabulary) -> list[_Mention]:
    found = [
        _Mention(term, (term.key,), term.kind)
        for term in marked.terms
        if term.kind in ("synonym", "weak", "inverse", "denial")
    ]
    for statement in statements_of(marked, vocabulary.structures):
        found.append(_statement_mention(statement))
    unique = {(m.span.start, m.span.end, m.concepts, m.kind): m for m in found}
    return sorted(unique.values(), key=lambda m: (m.span.start, m.span.end))


def _statement_mention(statement: Statement) -> _Mention:
    kind = "normal" if statement.normal else "state"
    kind = f"weak_{kind}" if statement.weak else kind
    span = Span("statement", statement.state.key, statement.span.start, statement.span.end)
    return _Mention(span, statement.concepts, kind)


def _context(marked: Marked, mention: _Mention, scopes: Sequence[Scope], governed: Sequence[Span]) -> Context:
    if mention.span.kind != "statement":
        return context_of(mention.span, scopes, governed)
    # Of a statement only its state is governed: "no change … the heart is enlarged".
    state = next(
        s
        for s in marked.states
        if s.key == mention.span.key and mention.span.start <= s.start and s.end <= mention.span.end
    )
    return context_of(state, scopes, [g for g in governed if g != mention.span])


def _attributes(
    marked: Marked, mentions: Sequence[_Mention], areas: dict[int, Territory], vocabulary: Vocabulary
) -> list[tuple[Span, Attributes]]:
    return [
        (
            m.span,
            attributes_of(marked, areas[id(m.span)], device=vocabulary.concepts[m.concepts[0]].device)
            if m.concepts
            else Attributes(),
        )
        for m in mentions
    ]


def _alternative(marked: Marked, mention: _Mention, mentions: Sequence[_Mention]) -> bool:
    """ "Atelectasis or scarring": of two alternatives neither is asserted."""
    for other in mentions:
        if other.concepts == mention.concepts or not {mention.kind, other.kind} <= {"synonym", "weak"}:
            continue
        first, second = sorted((mention.span, other.span), key=lambda s: s.start)
        gap = marked.words[first.end : second.start]
        if second.start >= first.end and len(gap) <= 4 and (gap[:1] == ("or",) or gap[:2] == (",", "or")):
            return True
    return False


def _refined(marked: Marked, vocabulary: Vocabulary, key: str, area: Territory) -> Concept:
    concept = vocabulary.concepts[key]
    words = marked.words[area.left : area.right]
    for other, needed in concept.becomes.items():
        if any(word in words for word in needed):
            return vocabulary.concepts[other]
    return concept


def _findings(
    marked: Marked,
    mention: _Mention,
    concept: Concept,
    context: Context,
    attributes: Attributes,
    area: Territory,
    sentence: str,
) -> list[Read]:
    presence = _presence(marked, mention, context)
    if presence is None:
        return []
    if concept.key == NO_FINDING:
        attributes = Attributes()
    finding = Finding(
        concept=concept.key,
        presence=presence,
        laterality=_side(mention, concept, attributes),
        location=attributes.location if concept.sided or concept.device else None,
        severity=attributes.severity if not mention.kind.endswith("normal") else None,
        change=attributes.change,
        evidence=sentence,
    )
    weak = mention.kind in ("weak", "weak_state", "weak_normal", "denial")
    if presence is Presence.ABSENT:
        gone = attributes.change is Change.RESOLVED
        finding = replace(finding, severity=None, change=Change.RESOLVED if gone else None)
        return [Read(finding, weak)]
    if finding.change is Change.RESOLVED:
        finding = replace(finding, change=None)
    pairs = sides_with_severities(marked, area)
    if pairs and concept.sided:
        return [Read(replace(finding, laterality=side, severity=grade), weak) for side, grade in pairs]
    return [Read(finding, weak)]


def _side(mention: _Mention, concept: Concept, attributes: Attributes) -> Laterality | None:
    both = attributes.laterality is Laterality.BILATERAL and mention.kind.endswith("normal")
    return attributes.laterality if concept.sided and not both else None


def _presence(marked: Marked, mention: _Mention, context: Context) -> Presence | None:
    """What a mention states under its context; `None` for nothing."""
    if context.status in (Status.HISTORICAL, Status.HYPOTHETICAL):
        return None
    negated, uncertain = context.status is Status.NEGATED, context.status is Status.UNCERTAIN
    if mention.kind.endswith("normal"):
        statement = _as_statement(marked, mention)
        return None if negated or uncertain or is_quiet(marked, statement) else Presence.ABSENT
    if mention.kind == "denial":
        return Presence.ABSENT if negated else None
    if mention.kind == "inverse":
        return Presence.PRESENT if negated else None
    if negated:
        return None if mention.concepts == (NO_FINDING,) else Presence.ABSENT
    if uncertain or mention.kind in ("weak", "weak_state"):
        return Presence.INDETERMINATE
    return Presence.PRESENT


def _as_statement(marked: Marked, mention: _Mention) -> Statement:
    span = mention.span
    state = next(
        s for s in marked.states if s.key == span.key and span.start <= s.start and s.end <= span.end
    )
    return Statement(span, state, True, False, mention.concepts)
