"""What a sentence says about a concept given by the caller in the sentence's words: only the context
engine.
"""

from __future__ import annotations

from model.findings.scope.rules import Assertion, context_of
from model.findings.scope.scopes import scopes_of
from model.findings.spans import Reader, Span, reader_for
from model.findings.types import Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary


def presence_of(sentence: str, concept_text: str, vocabulary: Vocabulary | None = None) -> Presence:
    """Whether a sentence affirms, denies or leaves open the concept that it names as `concept_text`.

    The concept's words are first searched in capitals (as annotated corpora mark them), then ignoring case. A
    concept that the sentence does not contain, or that is historical or only asked about, is not denied:
    `PRESENT`. The concept itself need not be in the vocabulary.
    """
    reader = reader_for(vocabulary or load_vocabulary())
    mention = locate(reader, sentence, concept_text)
    if mention is None:
        return Presence.PRESENT
    marked = reader.mark(sentence)
    others = [t for t in marked.terms if t.end <= mention.start or t.start >= mention.end]
    mentions = sorted([*(t for t in others if t.kind != "structure"), mention], key=lambda m: m.start)
    scopes = [
        scope
        for scope in scopes_of(marked, mentions)
        if scope.kind in ("negated", "uncertain") and scope.cue.start not in range(mention.start, mention.end)
    ]
    status = context_of(marked, mention, scopes, mentions).status
    if status is Assertion.NEGATED:
        return Presence.ABSENT
    return Presence.INDETERMINATE if status is Assertion.UNCERTAIN else Presence.PRESENT


def locate(reader: Reader, sentence: str, concept_text: str) -> Span | None:
    """The tokens of a sentence that are the concept's words; `None` if they are not there."""
    wanted = [token.word for token in reader.tokens(concept_text)]
    tokens = reader.tokens(sentence)
    found = [
        start
        for start in range(len(tokens) - len(wanted) + 1)
        if wanted and _begin_alike([token.word for token in tokens[start : start + len(wanted)]], wanted)
    ]
    capitals = [s for s in found if sentence[tokens[s].start : tokens[s + len(wanted) - 1].end].isupper()]
    if not found:
        return None
    start = (capitals or found)[0]
    return Span("given", concept_text, start, start + len(wanted))


def _begin_alike(words: list[str], wanted: list[str]) -> bool:
    """Whether words are the wanted ones; the last may be longer, as happens if the space after it is
    missing.
    """
    return words[:-1] == wanted[:-1] and words[-1].startswith(wanted[-1])
