"""Reads the findings of one sentence.

Corrections and elided subjects are resolved (`speech`), terms and cues are marked (`spans`), mentions of
concepts are found (`mentions`), each is classified as affirmed, denied, hedged, historical or only asked
about (`scope`), and the attributes are read (`attributes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from model.findings.attributes import Attributes, attributes_of, share
from model.findings.devices import reached_by, with_malposition
from model.findings.mentions import Mention, mentions_of
from model.findings.merge import Read, Why
from model.findings.ratios import with_ratios
from model.findings.scope.rules import AFFIRMED, Assertion, MentionContext, context_of
from model.findings.scope.scope import Scope
from model.findings.scope.scopes import scopes_of
from model.findings.scope.unchanged import is_unchanged
from model.findings.sites import is_artefact, is_elsewhere
from model.findings.spans import Marked, Reader, Span
from model.findings.speech.answers import answered
from model.findings.speech.comparisons import with_compared_sides
from model.findings.speech.conclusions import with_conclusions
from model.findings.speech.contrast import without_excluded_side, without_former_side
from model.findings.speech.ellipsis import with_subjects
from model.findings.speech.exceptions import denied_elsewhere, exception_of, with_exceptions
from model.findings.speech.fields import with_fields, with_several_fields
from model.findings.speech.former_states import without_former_state
from model.findings.speech.neither import with_neither_changed
from model.findings.speech.ones import with_ones
from model.findings.speech.repairs import repaired
from model.findings.speech.verdicts import with_verdicts
from model.findings.speech.withdrawals import with_withdrawals
from model.findings.statements import is_quiet
from model.findings.territory import Territory, territories
from model.findings.two_sides import by_side, without_denied_side
from model.findings.types import Change, Finding, Laterality, Presence
from model.findings.vocabulary import Concept, Vocabulary

NO_FINDING = "no_finding"
_WEIGHT = (Presence.PRESENT, Presence.INDETERMINATE, Presence.ABSENT)


@lru_cache(maxsize=8192)
def explained(
    reader: Reader, sentence: str, dropped: tuple[tuple[int, int], ...] = (), label: str = ""
) -> tuple[Read, ...]:
    """The findings that a sentence states, in its order, then the mentions that state nothing, each with the
    rule that decided.

    dropped: places in the sentence that are not read; label: the label that applies to it ("LEFT LUNG").
    Results are cached, because reports share many sentences ("No pneumothorax.").
    """
    marked = heard(reader, sentence, dropped)
    mentions = mentions_of(marked, reader.vocabulary)
    if not mentions:
        return ()
    read = _sentence_reads(marked, mentions, reader.vocabulary, sentence)
    side = _side_of_label(reader, label) if label else None
    if side is not None:
        read = [replace(r, finding=_on_side(r.finding, side, reader.vocabulary)) for r in read]
    stated = without_denied_side([r for r in read if r.finding is not None])
    silent = [r for r in read if r.finding is None]
    if exception_of(marked) is not None:
        stated = _with_sides_elsewhere(stated, reader.vocabulary)
    return (*with_malposition(marked, _without_outweighed(stated), reader.vocabulary), *silent)


def heard(reader: Reader, sentence: str, dropped: Sequence[tuple[int, int]] = ()) -> Marked:
    """A sentence's marks after corrections, contrasts and elided subjects."""
    marked = reader.mark(sentence, dropped)
    if (measured := with_ratios(marked)) is not None:
        marked = reader.mark_tokens(measured)
    if not marked.terms:
        return marked  # nothing that could be corrected, denied or limited to a side
    for step in _STEPS:
        tokens = step(marked)
        if tokens is not None:
            marked = reader.mark_tokens(tokens)
    return marked


_STEPS = (
    with_several_fields,
    with_conclusions,
    repaired,
    with_neither_changed,
    with_fields,
    with_withdrawals,
    without_excluded_side,
    without_former_side,
    without_former_state,
    with_compared_sides,
    with_verdicts,
    answered,
    with_exceptions,
    with_subjects,
    with_ones,
)


def _sentence_reads(
    marked: Marked, mentions: Sequence[Mention], vocabulary: Vocabulary, sentence: str
) -> list[Read]:
    governed = [t for t in marked.terms if t.kind != "structure"]
    governed += [m.span for m in mentions if m.statement is not None]
    scopes = scopes_of(marked, governed)
    areas = {t.mention: t for t in territories(marked, [m.span for m in mentions])}
    contexts = [_context(marked, mention, scopes, governed, vocabulary) for mention in mentions]
    denied = [context.status is Assertion.NEGATED for context in contexts]
    attributes = share(marked, _attributes(marked, mentions, areas, vocabulary), denied)
    found: list[Read] = []
    pseudo = any(cue.kind == "pseudo" for cue in marked.cues)
    for mention, attribute, context in zip(mentions, attributes, contexts, strict=True):
        area = areas[mention.span]
        unchanged = pseudo and is_unchanged(marked, mention.span)
        if unchanged and attribute.change is None:
            attribute = replace(attribute, change=Change.UNCHANGED)
        if (
            context.status is Assertion.AFFIRMED
            and not unchanged
            and _is_alternative(marked, mention, mentions)
        ):
            context = MentionContext(Assertion.UNCERTAIN, rule="alternative")
        if is_elsewhere(marked, mention, area, vocabulary):
            context = MentionContext(Assertion.HISTORICAL, rule="other-site")
        if is_artefact(marked, mention, area, vocabulary) and context.status is not Assertion.NEGATED:
            hedged = bool(marked.pack.words["single_hedges"].intersection(marked.words[mention.span.end :]))
            context = MentionContext(Assertion.UNCERTAIN if hedged else Assertion.HISTORICAL, rule="artefact")
        presence = _presence(marked, mention, context)
        if presence is None:
            found += (Read(None, why=_why(marked, mention, context, key)) for key in mention.concepts)
            continue
        for key in mention.concepts:
            concept = _refined(marked, vocabulary, key, area)
            finding = _finding(mention, concept, presence, attribute, sentence)
            read = Read(finding, mention.only_hints, why=_why(marked, mention, context, concept.key))
            found += by_side(marked, area, concept, read)
    return found


def _with_sides_elsewhere(stated: Sequence[Read], vocabulary: Vocabulary) -> list[Read]:
    """A finding denied except on one side is denied on the other."""
    found: list[Read] = []
    for key in dict.fromkeys(r.finding.concept for r in stated if r.finding is not None):
        of_concept = [r for r in stated if r.finding is not None and r.finding.concept == key]
        found += denied_elsewhere(of_concept, vocabulary.concepts[key].sided)
    return found


def _why(marked: Marked, mention: Mention, context: MentionContext, concept: str) -> Why:
    scope = context.scope
    return Why(
        concept=concept,
        mention=marked.text(mention.span),
        status=context.status.value,
        rule=_STATED.get(mention.kind, context.rule)
        if context.status is Assertion.AFFIRMED
        else context.rule,
        cue="" if context.cue is None else marked.text(context.cue) or context.cue.key,
        scope="" if scope is None else " ".join(marked.words[scope.start : scope.end]),
    )


_STATED = {
    "normal": "normal-state", "weak_normal": "normal-state", "state": "state", "weak_state": "state-hint",
    "weak": "hint",
}  # fmt: skip


def _side_of_label(reader: Reader, label: str) -> Laterality | None:
    sides = {s.key for s in reader.mark(label).sides} & {"left", "right"}
    return Laterality(sides.pop()) if len(sides) == 1 else None


def _on_side(finding: Finding | None, side: Laterality, vocabulary: Vocabulary) -> Finding | None:
    if finding is None or finding.laterality is not None or not vocabulary.concepts[finding.concept].sided:
        return finding
    return replace(finding, laterality=side)


def _context(
    marked: Marked,
    mention: Mention,
    scopes: Sequence[Scope],
    governed: Sequence[Span],
    vocabulary: Vocabulary,
) -> MentionContext:
    if not scopes and not any(vocabulary.concepts[key].passes for key in mention.concepts):
        return AFFIRMED
    others = [g for g in governed if g != mention.span]
    if not vocabulary.concepts[mention.concepts[0]].device:
        scopes = reached_by(marked, mention.span, scopes, governed, vocabulary)
    passes = all(vocabulary.concepts[key].passes for key in mention.concepts)
    return context_of(marked, mention.core, scopes, others, passes=passes)


def _attributes(
    marked: Marked, mentions: Sequence[Mention], areas: dict[Span, Territory], vocabulary: Vocabulary
) -> list[tuple[Span, Attributes, bool]]:
    found = []
    for mention in mentions:
        device = vocabulary.concepts[mention.concepts[0]].device
        found.append((mention.span, attributes_of(marked, areas[mention.span], device=device), device))
    return found


def _is_alternative(marked: Marked, mention: Mention, mentions: Sequence[Mention]) -> bool:
    """In "atelectasis or scarring" neither is asserted."""
    if len(mentions) < 2 or marked.pack.words["or"].isdisjoint(marked.bag):
        return False
    for other in mentions:
        if other.concepts == mention.concepts or not {mention.kind, other.kind} <= {"synonym", "weak"}:
            continue
        first, second = sorted((mention.span, other.span), key=lambda s: s.start)
        gap = marked.words[first.end : second.start]
        apart = any(first.end <= m.span.start and m.span.end <= second.start for m in mentions)
        alternatives = marked.pack.words["or"]
        joins = bool(alternatives.intersection(gap[:1])) or (
            gap[:1] == (",",) and bool(alternatives.intersection(gap[1:2]))
        )
        if second.start >= first.end and joins and not apart and len(gap) <= 4:
            return True
    return False


def _presence(marked: Marked, mention: Mention, context: MentionContext) -> Presence | None:
    """The finding that a mention states in its context, or `None`."""
    if context.status in (Assertion.HISTORICAL, Assertion.HYPOTHETICAL):
        return None
    negated, uncertain = context.status is Assertion.NEGATED, context.status is Assertion.UNCERTAIN
    match mention.kind:
        case "normal" | "weak_normal":
            hedged = negated or uncertain
            quiet = mention.statement is None or is_quiet(marked, mention.statement)
            return None if hedged or quiet else Presence.ABSENT
        case "denial":
            return Presence.ABSENT if negated else None
        case "inverse":
            return Presence.PRESENT if negated else None
    if negated:
        return None if mention.concepts == (NO_FINDING,) else Presence.ABSENT
    if uncertain or mention.kind in ("weak", "weak_state"):
        return Presence.INDETERMINATE
    return Presence.PRESENT


def _refined(marked: Marked, vocabulary: Vocabulary, key: str, area: Territory) -> Concept:
    """The concept, or a narrower one implied by a word in its phrase: a fracture of a rib."""
    concept = vocabulary.concepts[key]
    words = marked.words[area.left : area.right]
    for other, needed in concept.becomes.items():
        if any(word in words for word in needed):
            return vocabulary.concepts[other]
    return concept


def _finding(
    mention: Mention, concept: Concept, presence: Presence, attributes: Attributes, sentence: str
) -> Finding:
    """The finding with the attributes that its presence and its concept can have."""
    if concept.key == NO_FINDING:
        attributes = Attributes()
    absent = presence is Presence.ABSENT
    side = attributes.laterality if concept.sided else None
    if side is Laterality.BILATERAL and mention.kind in ("normal", "weak_normal"):
        side = None  # "the lungs are clear bilaterally" denies no more than "the lungs are clear"
    gone = attributes.change is Change.RESOLVED
    return Finding(
        concept=concept.key,
        presence=presence,
        laterality=side,
        location=attributes.location if concept.sided or concept.device else None,
        severity=None if absent else attributes.severity,
        change=attributes.change if absent == gone else None,
        evidence=sentence,
    )


def _without_outweighed(found: Sequence[Read]) -> list[Read]:
    """What a sentence states about a concept outweighs what the same sentence denies or leaves open about it.

    "No pneumothorax other than a small apical one"; "opacity … or infiltrate". Sides are kept apart.
    """

    pairs = [(read, read.finding) for read in found if read.finding is not None]
    if len({finding.concept for _, finding in pairs}) == len(pairs):
        return [read for read, _ in pairs]

    def outweighed(read: Read, finding: Finding) -> bool:
        return any(
            other.concept == finding.concept
            and _WEIGHT.index(other.presence) < _WEIGHT.index(finding.presence)
            and None in (finding.laterality, other.laterality)
            and (read.weak or not by.weak)
            for by, other in pairs
        )

    return [read for read, finding in pairs if not outweighed(read, finding)]
