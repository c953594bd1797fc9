"""Finds the vocabulary's terms and a language's cue words in a sentence.

Each family of phrases (terms, context cues, severities, …) is matched separately, and the longest phrase wins
within a family; families may overlap, like "left" in "left lung base".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol

from model.findings.lexicon import STATUSES, Pack, denial_of
from model.findings.text.glued import SHORTEST, unglued
from model.findings.text.labels import SIGNS, labelled
from model.findings.text.phrases import PhraseTree
from model.findings.text.signs import MARKS, with_signs
from model.findings.text.tokens import Shorthand, Token, expanded, tokens_of, words_of
from model.findings.variants import british, variants
from model.findings.vocabulary import Vocabulary


class Span(NamedTuple):
    """Tokens [start, end) of a sentence and their meaning: `kind`, such as `synonym`, and `key`."""

    kind: str
    key: str
    start: int
    end: int


_new = tuple.__new__


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A sentence's tokens in lower case with all spans that were found, each family in order.

    `pack` is the language of the words; `places_of` returns where a span is in the text.
    """

    pack: Pack
    tokens: tuple[Token, ...]
    words: tuple[str, ...]
    bag: frozenset[str]  # the words without their order
    walls: tuple[int, ...]  # places of the words that end what belongs to a mention
    terms: tuple[Span, ...]  # synonym, weak, inverse, denial, structure
    cues: tuple[Span, ...]  # before:…, after:…, end, pseudo
    states: tuple[Span, ...]
    severities: tuple[Span, ...]
    changes: tuple[Span, ...]
    sides: tuple[Span, ...]
    places: tuple[Span, ...]
    exceptions: tuple[Span, ...]

    def text(self, span: Span) -> str:
        """The words of a span."""
        return " ".join(self.words[span.start : span.end])


_FAMILIES = ("terms", "cues", "states", "severities", "changes", "sides", "places", "exceptions")

_ANSWER_ENDS = frozenset((",", ";", ".", ":", "、"))
_NO_SPANS: dict[str, tuple[Span, ...]] = dict.fromkeys(_FAMILIES, ())


class Adder(Protocol):
    """Adds phrases of one family, with their regular forms if `inflect`."""

    def __call__(
        self, family: str, kind: str, key: str, words: Iterable[str], *, inflect: bool = False
    ) -> None: ...


class Reader:
    """Marks sentences with the terms of one vocabulary in one language. Build once: `reader_for`."""

    def __init__(self, vocabulary: Vocabulary, pack: Pack) -> None:
        self.vocabulary = vocabulary
        self.pack = pack
        self._shorthand = Shorthand({**pack.abbreviations, **_english(vocabulary, pack)}.items())
        contractions = Shorthand((k, v) for k, v in pack.abbreviations.items() if "'" in k or k == "cannot")
        self._tree = PhraseTree()
        for phrase, labels in _phrases(vocabulary, pack).items():
            words = [token.word for token in expanded(tokens_of(phrase), contractions)]
            self._tree.add(words, labels)
        self._denial = denial_of(pack)
        self._letters = frozenset(pack.letters)
        self._pairs = frozenset(_pairs_of_terms(vocabulary, pack))
        # What decides whether a sentence is read looks at it first; then it is read.
        self._marked = lru_cache(maxsize=1024)(lambda sentence: self.mark_tokens(self.tokens(sentence)))

    @property
    def known_words(self) -> set[str]:
        """Every word of any known phrase."""
        return self._tree.words

    def joins(self, line: str, following: str) -> bool:
        """Whether the last word of a line and the first of the next are adjacent in a term."""
        last, first = words_of(line[-40:])[-1:], words_of(following[:40])[:1]
        return (*last, *first) in self._pairs

    def tokens(self, text: str, dropped: Sequence[tuple[int, int]] = ()) -> list[Token]:
        """The tokens of a sentence prepared for reading: shorthand expanded, label signs replaced by
        colons.
        """
        found = tokens_of(text)
        if dropped:
            found = [t for t in found if not any(a <= t.start < b for a, b in dropped)]
        if not self._letters.isdisjoint(text):
            found = [self._letter(text, found, i) if t[2] - t[1] == 1 else t for i, t in enumerate(found)]
        bag = {token[0] for token in found}  # each step below looks at the tokens only if a word calls for it
        if not self.pack.words["months"].isdisjoint(bag):
            found = [self._month(text, found, i) for i in range(len(found))]
        if max(map(len, bag - self._tree.words), default=0) >= SHORTEST:
            found = unglued(found, self._tree.words, self.pack.words["none"])
        if not MARKS.isdisjoint(bag):
            found = with_signs(found, self._denial)
        if not self._shorthand.first_words.isdisjoint(bag):
            found = expanded(found, self._shorthand)
        if not SIGNS.isdisjoint(bag) or ".." in text or "--" in text:
            found = labelled(found)
        return found

    def mark(self, sentence: str, dropped: Sequence[tuple[int, int]] = ()) -> Marked:
        """Tokenise a sentence and find all known phrases in it; dropped: places that are not read."""
        return self.mark_tokens(self.tokens(sentence, dropped)) if dropped else self._marked(sentence)

    def mark_tokens(self, tokens: Sequence[Token]) -> Marked:
        """Find all known phrases in a list of tokens."""
        words = tuple([token[0] for token in tokens])
        families: dict[str, list[Span]] = {}
        for start, end, labels in self._tree.matches(words):
            for family, kind, key in labels:
                span = _new(Span, (kind, key, start, end))
                if family in families:
                    families[family].append(span)
                else:
                    families[family] = [span]
        if ":" in words and "cues" in families:
            families["cues"] = [c for c in families["cues"] if not _denies_what_follows(words, c, families)]
        longest = {f: _longest(spans) if len(spans) > 1 else tuple(spans) for f, spans in families.items()}
        if "severities" in longest:
            longest["severities"] = tuple([span for span in longest["severities"] if span[1] != "none"])
        walls, bag = self.pack.words["walls"], frozenset(words)
        return Marked(
            pack=self.pack,
            tokens=tuple(tokens),
            words=words,
            bag=bag,
            walls=()
            if walls.isdisjoint(bag)
            else tuple([i for i, word in enumerate(words) if word in walls and not self._shortens(words, i)]),
            **_NO_SPANS | longest,
        )

    def _shortens(self, words: Sequence[str], index: int) -> bool:
        """Whether a stop is the one of an ordinal or an initial: "der 6. Rippe links", "V. jugularis"."""
        if words[index] != "." or not 0 < index < len(words) - 1:
            return False
        return words[index - 1].isdigit() or words[index - 1] in self.pack.words["initials"]

    def _month(self, text: str, tokens: Sequence[Token], index: int) -> Token:
        """ "3 May", "May 2024", "in May": the month, not the hedge."""
        token = tokens[index]
        if token.word not in self.pack.words["months"] or not text[token.start : token.start + 1].isupper():
            return token
        before = tokens[index - 1].word if index else ""
        after = tokens[index + 1].word if index + 1 < len(tokens) else ""
        dated = before[:1].isdigit() or after[:1].isdigit() or before in self.pack.words["at"]
        return Token(f"month:{token.word}", token.start, token.end) if dated else token

    def _letter(self, text: str, tokens: Sequence[Token], index: int) -> Token:
        """ "L" and "R" alone are sides: "L effusion", "(R)", never "L2", "2 L" or "r"."""
        token = tokens[index]
        if token.end - token.start != 1 or text[token.start] not in self.pack.letters:
            return token
        before = tokens[index - 1].word if index else ""
        after = tokens[index + 1].word if index + 1 < len(tokens) else ""
        if before[:1].isdigit() or before in ("/", "'") or after[:1].isdigit() or after == "/":
            return token
        return Token(self.pack.letters[text[token.start]], token.start, token.end)


def _denies_what_follows(words: Sequence[str], cue: Span, families: Mapping[str, Sequence[Span]]) -> bool:
    """Whether a cue that reads like an answer, ": no", belongs to a term behind it: "Pleura: no effusion"."""
    if words[cue.start] != ":" or not cue.kind.startswith("after:"):
        return False
    forward = any(
        c.kind.startswith("before:") and (c.start, c.end) == (cue.start + 1, cue.end)
        for c in families["cues"]
    )
    stop = next((i for i in range(cue.end, len(words)) if words[i] in _ANSWER_ENDS), len(words))
    return forward and any(cue.end <= t.start < min(stop, cue.end + 5) for t in families.get("terms", ()))


@lru_cache(maxsize=16)
def reader_for(vocabulary: Vocabulary, language: str = "en") -> Reader:
    """The reader of a vocabulary in a language, built once (about 0.1 s)."""
    return Reader(vocabulary, vocabulary.packs[language])


def _english(vocabulary: Vocabulary, pack: Pack) -> Mapping[str, str]:
    return vocabulary.abbreviations if pack.language == "en" else {}


def _phrases(vocabulary: Vocabulary, pack: Pack) -> dict[str, set[tuple[str, str, str]]]:
    """phrase → {(family, kind, key)}."""
    phrases: dict[str, set[tuple[str, str, str]]] = {}

    def add(family: str, kind: str, key: str, words: Iterable[str], *, inflect: bool = False) -> None:
        for word in words:
            forms = variants(word) if inflect else (word,)
            if not inflect and family == "terms":
                forms = (word, *(f"{word}{ending}" for ending in pack.endings if word[-1:].isalpha()))
            if family == "cues" and pack.language == "en":
                forms = british(word)
            for form in forms:
                phrases.setdefault(form.lower(), set()).add((family, kind, key))

    _add_terms(add, vocabulary, pack)
    for kind in STATUSES:
        add("cues", f"before:{kind}", kind, pack.before[kind])
        add("cues", f"after:{kind}", kind, pack.after[kind])
    # Phrases of change that contain a negative word ("partial resolution of") must not be read as a denial.
    silent = (*pack.change.get("decreased", ()), *pack.change.get("unchanged", ()))
    add("cues", "pseudo", "", (*pack.not_negated, *silent))
    add("cues", "end", "", pack.ends)
    for family, table in (("states", pack.states), ("severities", pack.severity), ("changes", pack.change),
                          ("sides", pack.laterality)):  # fmt: skip
        for key, words in table.items():
            add(family, family, key, words)
    add("exceptions", "exception", "", pack.exceptions)
    return phrases


def _add_terms(add: Adder, vocabulary: Vocabulary, pack: Pack) -> None:
    """The vocabulary's own words for an English pack, the pack's words for another language."""
    own = pack.language == "en"
    for concept in vocabulary.concepts.values():
        words = pack.terms.concepts.get(concept.key, {})
        name = (
            () if concept.inverse or not own else (concept.name,)
        )  # "no abnormality" may be about one place
        synonyms = (*name, *concept.synonyms) if own else ()
        add("terms", "synonym", concept.key, (*synonyms, *words.get("synonyms", ())), inflect=own)
        add(
            "terms",
            "weak",
            concept.key,
            (*(concept.weak if own else ()), *words.get("weak", ())),
            inflect=own,
        )
        inverse = concept.inverse if own else ()
        add("terms", "inverse", concept.key, (*inverse, *words.get("inverse", ())), inflect=own)
    for key in {*vocabulary.denials, *pack.terms.denials}:
        listed = vocabulary.denials.get(key, ()) if own else ()
        add("terms", "denial", key, (*listed, *pack.terms.denials.get(key, ())), inflect=own)
    for structure in vocabulary.structures.values():
        listed = structure.terms if own else ()
        add(
            "terms",
            "structure",
            structure.key,
            (*listed, *pack.terms.structures.get(structure.key, ())),
            inflect=own,
        )
    add("terms", "ignore", "", (*(vocabulary.ignore if own else ()), *pack.terms.ignore), inflect=own)
    for location in vocabulary.locations.values():
        listed = (location.name, *location.terms) if own else ()
        add(
            "places",
            "place",
            location.key,
            (*listed, *pack.terms.locations.get(location.key, ())),
            inflect=own,
        )


def _pairs_of_terms(vocabulary: Vocabulary, pack: Pack) -> Iterable[tuple[str, str]]:
    """The neighbours inside the terms of a language."""
    listed: list[str] = [
        name for entry in pack.terms.concepts.values() for words in entry.values() for name in words
    ]
    if pack.language == "en":
        for concept in vocabulary.concepts.values():
            listed += (concept.name, *concept.synonyms, *concept.weak, *concept.inverse)
        listed += (term for structure in vocabulary.structures.values() for term in structure.terms)
        listed += (term for place in vocabulary.locations.values() for term in place.terms)
    for phrase in listed:
        for form in variants(phrase):
            words = words_of(form)
            yield from pairwise(words)


def _longest(spans: list[Span]) -> tuple[Span, ...]:
    """Spans without those that overlap a longer (or equally long, earlier) one; equal spans all stay."""
    edge = 0
    for span in spans:
        if span[2] < edge:
            break
        edge = span[3]
    else:
        return tuple(spans)
    kept: list[Span] = []
    taken: dict[int, tuple[int, int]] = {}
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        owners = {taken.get(index) for index in range(span.start, span.end)}
        if owners <= {None} or owners == {(span.start, span.end)}:
            kept.append(span)
            taken.update(dict.fromkeys(range(span.start, span.end), (span.start, span.end)))
    return tuple(sorted(kept, key=lambda s: (s.start, s.kind, s.key)))
