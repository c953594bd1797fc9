"""What one sentence states.

Mark terms and cues (`spans`), find what could state a concept (`mentions`), decide what is denied,
hedged, historical or only asked for (`context`), read the attributes (`attributes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.findings.attributes import Attributes, attributes_of, share, sides_with_severities
from model.findings.context import Context, Scope, Status, context_of, scopes_of
from model.findings.lexicon import load_cues
from model.findings.mentions import Mention, mentions_of
from model.findings.merge import Read
from model.findings.spans import Marked, Reader, Span
from model.findings.statements import is_quiet
from model.findings.territory import Territory, territories
from model.findings.types import Change, Finding, Laterality, Presence
from model.findings.vocabulary import Concept, Vocabulary

NO_FINDING = "no_finding"
MALPOSITION = "malpositioned_device"
_WEIGHT = (Presence.PRESENT, Presence.INDETERMINATE, Presence.ABSENT)


def read_sentence(reader: Reader, sentence: str) -> list[Read]:
    """The findings that a sentence states, in its order; the sentence is their evidence."""
    marked, vocabulary = reader.mark(sentence), reader.vocabulary
    mentions = mentions_of(marked, vocabulary)
    if not mentions:
        return []
    governed = [t for t in marked.terms if t.kind != "structure"]
    governed += [m.span for m in mentions if m.statement is not None]
    scopes = scopes_of(marked, governed)
    areas = {t.mention: t for t in territories(marked, [m.span for m in mentions])}
    attributes = share(marked, _attributes(marked, mentions, areas, vocabulary))
    found: list[Read] = []
    for mention, attribute in zip(mentions, attributes, strict=True):
        context = _context(mention, scopes, governed)
        if context.status is Status.AFFIRMED and _is_alternative(marked, mention, mentions):
            context = Context(Status.UNCERTAIN)
        presence = _presence(marked, mention, context)
        for key in mention.concepts if presence is not None else ():
            area = areas[mention.span]
            concept = _refined(marked, vocabulary, key, area)
            finding = _finding(mention, concept, presence, attribute, sentence)  # type: ignore[arg-type]
            found += _by_side(marked, area, concept, Read(finding, mention.only_hints))
    return _with_malposition(marked, _without_outweighed(found), vocabulary)


def _context(mention: Mention, scopes: Sequence[Scope], governed: Sequence[Span]) -> Context:
    return context_of(mention.core, scopes, [g for g in governed if g != mention.span])


def _attributes(
    marked: Marked, mentions: Sequence[Mention], areas: dict[Span, Territory], vocabulary: Vocabulary
) -> list[tuple[Span, Attributes, bool]]:
    found = []
    for mention in mentions:
        device = vocabulary.concepts[mention.concepts[0]].device
        found.append((mention.span, attributes_of(marked, areas[mention.span], device=device), device))
    return found


def _is_alternative(marked: Marked, mention: Mention, mentions: Sequence[Mention]) -> bool:
    """Of "atelectasis or scarring" neither is asserted."""
    for other in mentions:
        if other.concepts == mention.concepts or not {mention.kind, other.kind} <= {"synonym", "weak"}:
            continue
        first, second = sorted((mention.span, other.span), key=lambda s: s.start)
        gap = marked.words[first.end : second.start]
        apart = any(first.end <= m.span.start and m.span.end <= second.start for m in mentions)
        joins = gap[:1] == ("or",) or gap[:2] == (",", "or")
        if second.start >= first.end and joins and not apart and len(gap) <= 4:
            return True
    return False


def _presence(marked: Marked, mention: Mention, context: Context) -> Presence | None:
    """What a mention states under its context; `None` for nothing."""
    if context.status in (Status.HISTORICAL, Status.HYPOTHETICAL):
        return None
    negated, uncertain = context.status is Status.NEGATED, context.status is Status.UNCERTAIN
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
    """The concept, or the narrower one that a word of its phrase makes of it: a fracture of a rib."""
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


def _by_side(marked: Marked, area: Territory, concept: Concept, read: Read) -> list[Read]:
    """Two findings for "small left and moderate right effusions", else the one."""
    pairs = sides_with_severities(marked, area) if concept.sided else ()
    if not pairs or read.finding.presence is Presence.ABSENT:
        return [read]
    return [Read(replace(read.finding, laterality=side, severity=grade), read.weak) for side, grade in pairs]


def _without_outweighed(found: Sequence[Read]) -> list[Read]:
    """What a sentence states of a concept outweighs what it denies or leaves open of it at once.

    "No pneumothorax other than a small apical one"; "opacity … or infiltrate". Sides are kept apart.
    """

    def outweighed(read: Read) -> bool:
        finding = read.finding
        return any(
            other.finding.concept == finding.concept
            and _WEIGHT.index(other.finding.presence) < _WEIGHT.index(finding.presence)
            and None in (finding.laterality, other.finding.laterality)
            and (read.weak or not other.weak)
            for other in found
        )

    return [read for read in found if not outweighed(read)]


def _with_malposition(marked: Marked, found: Sequence[Read], vocabulary: Vocabulary) -> list[Read]:
    """Add the malposition that a device's place means where the sentence speaks of the device's tip."""
    stated = {read.finding.concept for read in found}
    if MALPOSITION in stated or not load_cues().words["tips"] & set(marked.words):
        return list(found)
    wrong = [
        read.finding
        for read in found
        if read.finding.presence is Presence.PRESENT
        and read.finding.location in vocabulary.malposition.get(read.finding.concept, ())
    ]
    added = [
        Finding(concept=MALPOSITION, presence=f.presence, location=f.location, evidence=f.evidence)
        for f in wrong
    ]
    return [*found, *(Read(finding) for finding in added)]
