"""Finding the vocabulary's terms and the cue words in a sentence: spaCy's tokeniser and phrase matcher.

Each family of phrases (terms, context cues, severities, …) is matched on its own, the longest phrase
winning inside a family; families may overlap, as "left" inside "left lung base" does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from model.findings.lexicon import Cues, load_cues
from model.findings.variants import variants
from model.findings.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spacy.tokens import Doc


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end) of a sentence and what they are: `kind`, such as `synonym`, and `key`."""

    kind: str
    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A sentence's tokens in lower case with all spans that were found, each family in order."""

    words: tuple[str, ...]
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
_SPACE = re.compile(r"[\s\u00a0]+")
_DASH = re.compile(r"(?<=[A-Za-z])[-‐‑–_](?=[A-Za-z])")
_NOISE = re.compile(r"[\\|]+|_{2,}|\*{2,}|x{4,}", re.IGNORECASE)


_SIDE = re.compile(r"(?<![\w.-])[LR](?= [A-Za-z]{3})")  # "L effusion", never "L2" or "right L."


class Reader:
    """Marks sentences with the terms of one vocabulary. Build once: `reader_for`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        import spacy  # takes two seconds: paid by whoever reads text, not by every command's --help
        from spacy.matcher import PhraseMatcher

        self.vocabulary = vocabulary
        self._nlp = spacy.blank("en")
        tokenizer: Any = self._nlp.tokenizer  # compiled, without types
        # The language's own abbreviations ("Mass." is a state) would hide the last word of a sentence.
        tokenizer.rules = {word: rule for word, rule in tokenizer.rules.items() if not word.endswith(".")}
        self._shorthand = _shorthand(vocabulary.abbreviations)
        self._labels: dict[int, tuple[tuple[str, str, str], ...]] = {}
        self._matcher = PhraseMatcher(self._nlp.vocab, attr="LOWER")
        self._add_all(_phrases(vocabulary, load_cues()))

    def clean(self, sentence: str) -> str:
        """The sentence as it is read: one space between words, no hyphens inside them, no shorthand."""
        text = sentence.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no tokens
        text = _SPACE.sub(" ", _NOISE.sub(" ", text))
        text = _SIDE.sub(lambda m: "left" if m[0] == "L" else "right", text)
        text = self._shorthand[0].sub(lambda m: self._shorthand[1][m[0].lower()], text)
        text = _DASH.sub(" ", text)
        text = text.replace("/", " / ")
        return _SPACE.sub(" ", text).strip()

    def mark(self, sentence: str) -> Marked:
        """Tokenise a sentence and find everything that is known in it."""
        doc = self._nlp.make_doc(self.clean(sentence))
        families: dict[str, list[Span]] = {family: [] for family in _FAMILIES}
        for label, start, end in self._matcher(doc):
            for family, kind, key in self._labels[label]:
                families[family].append(Span(kind, key, start, end))
        longest = {family: _longest(spans) for family, spans in families.items()}
        return Marked(words=tuple(token.lower_ for token in doc), **longest)

    def tokens(self, text: str) -> tuple[str, ...]:
        """The lower-case tokens of a text, as `mark` makes them."""
        return tuple(token.lower_ for token in self._nlp.make_doc(self.clean(text)))

    def _add_all(self, phrases: Mapping[str, set[tuple[str, str, str]]]) -> None:
        for phrase, labels in phrases.items():
            label = f"phrase {phrase}"
            self._matcher.add(label, [self._pattern(phrase)])
            self._labels[self._nlp.vocab.strings[label]] = tuple(sorted(labels))

    def _pattern(self, phrase: str) -> Doc:
        return self._nlp.make_doc(_SPACE.sub(" ", _DASH.sub(" ", phrase)))


@lru_cache(maxsize=4)
def reader_for(vocabulary: Vocabulary) -> Reader:
    """The reader of a vocabulary, built once (about 0.3 s)."""
    return Reader(vocabulary)


def _phrases(vocabulary: Vocabulary, cues: Cues) -> dict[str, set[tuple[str, str, str]]]:
    """phrase → {(family, kind, key)}."""
    phrases: dict[str, set[tuple[str, str, str]]] = {}

    def add(family: str, kind: str, key: str, words: Iterable[str], *, inflect: bool = False) -> None:
        for word in words:
            for form in variants(word) if inflect else (word,):
                phrases.setdefault(form.lower(), set()).add((family, kind, key))

    for concept in vocabulary.concepts.values():
        name = () if concept.inverse else (concept.name,)  # "no abnormality" may be of one place only
        add("terms", "synonym", concept.key, (*name, *concept.synonyms), inflect=True)
        add("terms", "weak", concept.key, concept.weak, inflect=True)
        add("terms", "inverse", concept.key, concept.inverse, inflect=True)
    for key, words in vocabulary.denials.items():
        add("terms", "denial", key, words, inflect=True)
    for structure in vocabulary.structures.values():
        add("terms", "structure", structure.key, structure.terms, inflect=True)
    add("terms", "ignore", "", vocabulary.ignore, inflect=True)
    for location in vocabulary.locations.values():
        add("places", "place", location.key, (location.name, *location.terms), inflect=True)
    for kind in ("negated", "uncertain", "historical", "hypothetical"):
        add("cues", f"before:{kind}", kind, cues.before[kind])
        add("cues", f"after:{kind}", kind, cues.after[kind])
    # Phrases of change that hold a negative word ("partial resolution of") must not be read as one.
    add("cues", "pseudo", "", (*cues.not_negated, *cues.change["decreased"], *cues.change["unchanged"]))
    add("cues", "end", "", cues.ends)
    for family, table in (("states", cues.states), ("severities", cues.severity), ("changes", cues.change),
                          ("sides", cues.laterality)):  # fmt: skip
        for key, words in table.items():
            add(family, family, key, words)
    add("exceptions", "exception", "", cues.exceptions)
    return phrases


def _longest(spans: list[Span]) -> tuple[Span, ...]:
    """Spans without those that overlap a longer (or equally long, earlier) one; equal spans all stay."""
    kept: list[Span] = []
    taken: dict[int, tuple[int, int]] = {}
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        owners = {taken.get(index) for index in range(span.start, span.end)}
        if owners <= {None} or owners == {(span.start, span.end)}:
            kept.append(span)
            taken.update(dict.fromkeys(range(span.start, span.end), (span.start, span.end)))
    return tuple(sorted(kept, key=lambda s: (s.start, s.kind, s.key)))


def _shorthand(table: Mapping[str, str]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    names = "|".join(re.escape(name) for name in sorted(table, key=len, reverse=True))
    return re.compile(rf"(?<![\w/])(?:{names})(?![\w/])", re.IGNORECASE), table
