"""Words of a hospital that take the place of a concept's own: "tension pneumothorax" is longer than
"pneumothorax", and the longest phrase wins, so that the text no longer states the shorter concept.
"""

from __future__ import annotations

from collections.abc import Iterator

from model.findings.text.tokens import words_of
from model.findings.variants import variants
from model.findings.vocabulary import Vocabulary, shipped_vocabulary

Phrase = tuple[str, ...]


def overlaid(concept: str, vocabulary: Vocabulary) -> dict[str, str]:
    """The concepts that are read instead of this one by a hospital's own words: each with such a word."""
    known, shipped = vocabulary.concepts[concept], shipped_vocabulary()
    before = shipped.concepts.get(concept)
    found: dict[str, str] = {}
    for other, words in known.becomes.items():
        were = before.becomes.get(other, ()) if before is not None else ()
        found.update((other, word) for word in words if word not in were)
    for language in vocabulary.packs:
        terms = set(_phrases(concept, vocabulary, language))
        for other in vocabulary.concepts:
            if other == concept or (language not in shipped.packs and other in shipped.concepts):
                continue  # the words of a new language for what is shipped are as fine as the shipped ones
            own = dict.fromkeys(_phrases(other, vocabulary, language))
            for phrase in _phrases(other, shipped, language):
                own.pop(phrase, None)
            if longer := [phrase for phrase in own if _contains(phrase, terms)]:
                found.setdefault(other, " ".join(longer[0]))
    return found


def _phrases(key: str, vocabulary: Vocabulary, language: str) -> Iterator[Phrase]:
    """The words that state or suggest a concept in a language."""
    concept, pack = vocabulary.concepts.get(key), vocabulary.packs.get(language)
    if concept is None or pack is None:
        return
    listed = [word for words in pack.terms.concepts.get(key, {}).values() for word in words]
    if language == "en":
        listed += (concept.name, *concept.synonyms, *concept.weak, *concept.inverse)
    for word in listed:
        yield from (words_of(form.lower()) for form in (variants(word) if language == "en" else (word,)))


def _contains(phrase: Phrase, terms: set[Phrase]) -> bool:
    """Whether one of the terms is a shorter part of a phrase."""
    lengths = range(1, len(phrase))
    return any(phrase[at : at + length] in terms for length in lengths for at in range(len(phrase)))
