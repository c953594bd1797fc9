"""Words of a hospital that take the place of shipped ones: "tension pneumothorax" is longer than
"pneumothorax", and the longest phrase wins, so that the text no longer states the shorter concept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from model.findings.text.tokens import words_of
from model.findings.variants import variants
from model.findings.vocabulary import Vocabulary, shipped_vocabulary

Phrase = tuple[str, ...]
WordsOf = Callable[[str, Vocabulary, str], Iterable[str]]  # key, vocabulary, language


def overlaid_concept(key: str, vocabulary: Vocabulary) -> dict[str, str]:
    """The concepts that are read instead of this one by a hospital's own words: each with such a word."""
    before = shipped_vocabulary().concepts.get(key)
    found: dict[str, str] = {}
    for other, words in vocabulary.concepts[key].becomes.items():
        were = before.becomes.get(other, ()) if before is not None else ()
        found.update((other, word) for word in words if word not in were)
    return _overlaid(key, vocabulary, vocabulary.concepts, _words_of_concept) | found


def overlaid_location(key: str, vocabulary: Vocabulary) -> dict[str, str]:
    """The same for a zone or place: "distal right main bronchus" instead of "right main bronchus"."""
    return _overlaid(key, vocabulary, vocabulary.locations, _words_of_location)


def _overlaid(key: str, vocabulary: Vocabulary, keys: Collection[str], listed: WordsOf) -> dict[str, str]:
    shipped = shipped_vocabulary()
    found: dict[str, str] = {}
    for language in vocabulary.packs:
        terms = set(_phrases(listed(key, vocabulary, language), language))
        for other in keys:
            new_words_of_shipped = language not in shipped.packs and _is_shipped(other)
            if other == key or new_words_of_shipped:
                continue  # the words of a new language for what is shipped are as fine as the shipped ones
            before = set(listed(other, shipped, language))
            own = [word for word in listed(other, vocabulary, language) if word not in before]
            if longer := [phrase for phrase in _phrases(own, language) if _contains(phrase, terms)]:
                found.setdefault(other, " ".join(longer[0]))
    return found


def _is_shipped(key: str) -> bool:
    shipped = shipped_vocabulary()
    return key in shipped.concepts or key in shipped.locations


def _words_of_concept(key: str, vocabulary: Vocabulary, language: str) -> Iterator[str]:
    """The words that state or suggest a concept in a language."""
    concept, pack = vocabulary.concepts.get(key), vocabulary.packs.get(language)
    if concept is not None and language == "en":
        yield from (concept.name, *concept.synonyms, *concept.weak, *concept.inverse)
    for words in pack.terms.concepts.get(key, {}).values() if pack is not None else ():
        yield from words


def _words_of_location(key: str, vocabulary: Vocabulary, language: str) -> Iterator[str]:
    place, pack = vocabulary.locations.get(key), vocabulary.packs.get(language)
    if place is not None and language == "en":
        yield from (place.name, *place.terms)
    yield from pack.terms.locations.get(key, ()) if pack is not None else ()


def _phrases(words: Iterable[str], language: str) -> Iterator[Phrase]:
    for word in words:
        yield from (words_of(form.lower()) for form in (variants(word) if language == "en" else (word,)))


def _contains(phrase: Phrase, terms: set[Phrase]) -> bool:
    """Whether one of the terms is a shorter part of a phrase."""
    lengths = range(1, len(phrase))
    return any(phrase[at : at + length] in terms for length in lengths for at in range(len(phrase)))
