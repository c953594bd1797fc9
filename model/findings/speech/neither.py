""" "Neither the effusion nor the consolidation has changed": the change is denied, not the findings."""

from __future__ import annotations

from functools import lru_cache

from model.findings.lexicon import Pack
from model.findings.spans import Marked
from model.findings.text.tokens import Token


def with_neither_changed(marked: Marked) -> list[Token] | None:
    """The tokens as "the effusion and the consolidation has not changed"; None if nothing reads like this."""
    pack, words = marked.pack.words, marked.words
    if pack["denies_each"].isdisjoint(marked.bag) or _participles(marked.pack).isdisjoint(marked.bag):
        return None
    first = next(i for i, word in enumerate(words) if word in pack["denies_each"])
    end = next((i for i in range(first, len(words)) if words[i] in _SIGNS), len(words))
    verb = next((i for i in range(first + 1, end) if words[i] in pack["verbs"]), end)
    last = next((i for i in range(verb + 1, end) if words[i] in _participles(marked.pack)), end)
    if last == end or any(last < t.start < end for t in marked.terms):
        return None
    inverted = verb == first + 1  # "nor has the opacity changed"
    subject = (verb + 1, last) if inverted else (first + 1, verb)
    if not any(subject[0] <= t.start and t.end <= subject[1] for t in marked.terms):
        return None
    joining = pack["at"] | pack["with"] | pack["and"] | pack["or"]
    if not inverted and not joining.isdisjoint(words[verb + 1 : last]):
        return None
    joined = min(pack["and"] - {"&"}, default=",")
    named = [
        Token(joined, token.start, token.end) if token.word in pack["denies_each"] else token
        for token in marked.tokens[subject[0] : subject[1]]
    ]
    start, at = marked.tokens[first], marked.tokens[last]
    said = marked.tokens[verb : verb + 1] if inverted else marked.tokens[verb:last]
    stop = [Token(";", start.start, start.start)] if inverted else []
    denial = Token(min(pack["not"]), at.start, at.start)
    return [*marked.tokens[:first], *stop, *named, *said, denial, *marked.tokens[last:]]


_SIGNS = frozenset((";", ".", ","))


@lru_cache(maxsize=16)
def _participles(pack: Pack) -> frozenset[str]:
    """The words that a language denies without denying a finding: "changed", for "not changed" is none."""
    denials = tuple(f"{word} " for word in pack.words["not"])
    return frozenset(
        phrase.split(" ", 1)[1]
        for phrase in pack.not_negated
        if phrase.startswith(denials) and phrase.count(" ") == 1
    ) & (pack.words["changed"] - pack.words["ended"])
