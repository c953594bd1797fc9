"""The words in `vocabulary.yaml` and the site's own, and the interpretation of a text with them.

A text is read from left to right, the longest phrase first. A word that is not in the vocabulary is split
("Thoraxaufnahme", "CHESTPA", "胸部正面") if words of the vocabulary cover it completely.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from agent.foundation.errors import SettingsError
from agent.objects.films.routing.vocabulary_file import parsed, problems_of_words
from agent.objects.films.routing.words import WILDCARD, is_unspaced, words_of

BUILT_IN = Path(__file__).parent / "vocabulary.yaml"
Kind = Literal["region", "frontal", "lateral", "special", "copy", "neutral", "nothing", "aside"]
# The meaning of a phrase: its kind, and which one of that kind.
Sense = tuple[Kind, str]
# Short words with one meaning in every language; other words of up to three letters yield to longer ones.
_CLEAR_SHORT = frozenset(
    {"hip", "arm", "leg", "toe", "rib", "kub", "abd", "axr", "cxr", "thx", "jaw", "bws", "hws", "lws"}
)
_SHORT = 3
_VIEW_KINDS = ("frontal", "lateral", "special")
# The regions for phantoms, animals and test objects, and for examinations that are not plain films:
# fluoroscopy.
NOT_A_PATIENT, OTHER_TECHNIQUE = "not_a_patient", "other_technique"
DECISIVE = (NOT_A_PATIENT, OTHER_TECHNIQUE)
# Letters that join the parts of a compound.
_LINKS = ("s", "n", "en", "es", "e", "er")
_LEAST_STEM = 4
_LONGEST_COMPOUND = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The interpretation of one text; all empty if nothing is understood.

    regions: keys of the vocabulary's regions. views: keys of its frontal views, `lateral`, or keys of the
    special ones. copies: the copies or special exposures that it names. unknown: words that are not in the
    vocabulary. view_or_region: the region is based on words that also name a view ("face").
    """

    regions: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    copies: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    view_or_region: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """Phrases by their first word, or by its first two letters if it ends in a wildcard."""

    phrases: Mapping[tuple[str, ...], frozenset[Sense]]
    starts: Mapping[str, tuple[tuple[str, ...], ...]]
    stems: Mapping[str, frozenset[Sense]]
    _read: dict[str, Reading] = field(default_factory=dict)

    def read(self, text: str) -> Reading:
        """Read one attribute's text."""
        if text not in self._read:
            if len(self._read) > 4096:
                self._read.clear()
            self._read[text] = _reading(self, words_of(text))
        return self._read[text]


@lru_cache(maxsize=1)
def built_in() -> Vocabulary:
    """Return the vocabulary without a site's words."""
    return _compiled([parsed(BUILT_IN, None)])


def load(path: Path | None, words: Mapping[str, Iterable[str]]) -> Vocabulary:
    """Return the built-in vocabulary with a site's file and words, by region.

    A phrase means what the words say, else what the file says, else what the built-in vocabulary says.

    Raises:
        SettingsError: the file is missing, has another shape or version, or a region is unknown.
    """
    if path is None and not words:
        return built_in()
    shipped = parsed(BUILT_IN, None)
    sources = [shipped]
    if path is not None:
        sources.append(parsed(path, shipped))
    if words:
        sources.append({"regions": {"site": _site_words(words, shipped)}})
    return _compiled(sources)


def _site_words(words: Mapping[str, Iterable[str]], shipped: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return a site's words by region, once they are known to be such."""
    known = sorted({region for listed in shipped["regions"].values() for region in listed})
    if wrong := sorted(set(words) - set(known)):
        raise SettingsError(
            f"`routing.words`: there is no region {wrong[0]!r}; the regions are {', '.join(known)}"
        )
    listed = {region: list(own) for region, own in words.items()}
    for region, own in listed.items():
        for problem in problems_of_words(own, f"routing.words.{region}"):
            raise SettingsError(problem)
    return listed


def _compiled(sources: Iterable[Mapping[str, Any]]) -> Vocabulary:
    phrases: dict[tuple[str, ...], frozenset[Sense]] = {}
    for source in sources:
        own: dict[tuple[str, ...], frozenset[Sense]] = {}
        for sense, text in _senses(source):
            key = words_of(text)
            own[key] = own.get(key, frozenset()) | {sense}
        # A later source defines its phrases alone: a site says what they mean in its house.
        phrases |= own
    starts: dict[str, list[tuple[str, ...]]] = {}
    stems: dict[str, frozenset[Sense]] = {}
    # "CHESTWALL" is the phrase "chest wall", not "chest" and a word.
    run_together: dict[str, frozenset[Sense]] = {}
    for key, senses in phrases.items():
        first = key[0]
        starts.setdefault(first[:2] + WILDCARD if first.endswith(WILDCARD) else first, []).append(key)
        if len(key) == 1:
            stems[first.rstrip(WILDCARD)] = senses
        elif WILDCARD not in "".join(key) and len("".join(key)) > _SHORT + 2:
            run_together.setdefault("".join(key), senses)
    ordered = {start: tuple(sorted(keys, key=_weight, reverse=True)) for start, keys in starts.items()}
    return Vocabulary(phrases=phrases, starts=ordered, stems=run_together | stems)


def _weight(key: tuple[str, ...]) -> tuple[int, int]:
    return len(key), sum(len(word) for word in key)


def _senses(source: Mapping[str, Any]) -> Iterator[tuple[Sense, str]]:
    for listed in source.get("regions", {}).values():
        for region, words in listed.items():
            yield from ((("region", region), word) for word in words)
    views = source.get("views", {})
    for view, words in views.get("frontal", {}).items():
        yield from ((("frontal", view), word) for word in words)
    yield from ((("lateral", "lateral"), word) for word in views.get("lateral", ()))
    for view, words in views.get("special", {}).items():
        yield from ((("special", view), word) for word in words)
    for copy, words in source.get("copies", {}).items():
        yield from ((("copy", copy), word) for word in words)
    yield from ((("nothing", ""), word) for word in source.get("nothing", ()))
    yield from ((("aside", ""), word) for word in source.get("asides", ()))
    yield from ((("neutral", ""), word) for word in source.get("neutral", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    words: str
    senses: frozenset[Sense]


def _reading(vocabulary: Vocabulary, words: tuple[str, ...]) -> Reading:
    hits: list[_Hit] = []
    unknown: list[str] = []
    at = 0
    while at < len(words):
        matched = _match(vocabulary, words, at)
        if matched and (hidden := _behind_a_wildcard(vocabulary, words[at], matched)):
            hits.extend(hidden)
            at += 1
            continue
        if matched:
            hits.append(_Hit(words=" ".join(words[at : at + matched[1]]), senses=matched[0]))
            at += matched[1]
            continue
        word = words[at]
        parts = _unspaced(vocabulary, word) if is_unspaced(word) else _compound(vocabulary, word)
        if parts:
            hits.extend(parts)
        elif not word.isdigit() and len(word) > 1:
            unknown.append(word)
        at += 1
    return Reading(
        regions=_regions(hits),
        views=frozenset(name for hit in hits for kind, name in hit.senses if kind in _VIEW_KINDS),
        copies=frozenset(name for hit in hits for kind, name in hit.senses if kind == "copy"),
        unknown=tuple(unknown),
        view_or_region=all(
            _names_a_view(hit) for hit in hits if any(kind == "region" for kind, _name in hit.senses)
        ),
    )


def _behind_a_wildcard(
    vocabulary: Vocabulary, word: str, matched: tuple[frozenset[Sense], int]
) -> list[_Hit]:
    """Return the parts of a word that only a wildcard without a region fits, such as "Röntgenthorax"."""
    senses, length = matched
    if length > 1 or word in vocabulary.stems or any(kind == "region" for kind, _name in senses):
        return []
    return _compound(vocabulary, word)


def _regions(hits: Iterable[_Hit]) -> frozenset[str]:
    """Return the regions named; a word that may mean something else counts only if no clear word does.

    A word that may be a view counts least: "RP face" is a frontal chest film. Words for an image without a
    patient, or not a plain film, are never overruled.
    """
    clear: set[str] = set()
    weak: set[str] = set()
    views: set[str] = set()
    for hit in hits:
        regions = {name for kind, name in hit.senses if kind == "region"}
        if not regions:
            continue
        short = len(hit.words) <= _SHORT and hit.words.isascii() and hit.words not in _CLEAR_SHORT
        if not regions.isdisjoint(DECISIVE):
            clear.update(regions)
        elif _names_a_view(hit):
            views.update(regions)
        else:
            (weak if short or len(hit.senses) > len(regions) else clear).update(regions)
    return frozenset(clear or weak or views)


def _names_a_view(hit: _Hit) -> bool:
    return any(kind in _VIEW_KINDS and name != "bedside" for kind, name in hit.senses)


def _match(vocabulary: Vocabulary, words: tuple[str, ...], at: int) -> tuple[frozenset[Sense], int] | None:
    first = words[at]
    keys = (*vocabulary.starts.get(first, ()), *vocabulary.starts.get(first[:2] + WILDCARD, ()))
    best: tuple[str, ...] | None = None
    for key in keys:
        if (best is None or _weight(key) > _weight(best)) and _fits(key, words, at):
            best = key
    return None if best is None else (vocabulary.phrases[best], len(best))


def _fits(key: tuple[str, ...], words: tuple[str, ...], at: int) -> bool:
    if at + len(key) > len(words):
        return False
    return all(
        word == wanted or (wanted.endswith(WILDCARD) and word.startswith(wanted[:-1]))
        for wanted, word in zip(key, words[at : at + len(key)], strict=True)
    )


def _unspaced(vocabulary: Vocabulary, word: str) -> list[_Hit]:
    """Find the longest words inside a run of characters; the letters between them are skipped."""
    found, at = [], 0
    while at < len(word):
        for length in range(min(8, len(word) - at), 0, -1):
            piece = word[at : at + length]
            if piece in vocabulary.stems:
                found.append(_Hit(words=piece, senses=vocabulary.stems[piece]))
                at += length
                break
        else:
            at += 1
    return found


def _compound(vocabulary: Vocabulary, word: str) -> list[_Hit]:
    """Split a word into words of the vocabulary that cover it completely; at least one names a region."""
    if not _LEAST_STEM < len(word) <= _LONGEST_COMPOUND:
        return []
    # The best way to cover the first `end` letters: fewest parts.
    best: list[list[str] | None] = [[], *([None] * len(word))]
    for end in range(2, len(word) + 1):
        for start in range(end - 1):
            parts = best[start]
            if parts is None:
                continue
            piece = word[start:end]
            known = piece in vocabulary.stems or (start > 0 and piece in _LINKS)
            if known and (best[end] is None or len(parts) + 1 < len(best[end] or ())):
                best[end] = [*parts, piece]
        link = word[end - 1 : end]
        before = best[end - 1]
        if best[end] is None and before and link in _LINKS:
            best[end] = [*before, link]
    pieces = best[-1] or []
    hits = [
        _Hit(words=piece, senses=vocabulary.stems[piece]) for piece in pieces if piece in vocabulary.stems
    ]
    named = any(
        (len(hit.words) >= _LEAST_STEM or hit.words in _CLEAR_SHORT)
        and any(kind == "region" for kind, _name in hit.senses)
        for hit in hits
    )
    return hits if named else []
