"""Language packs: the cue words, headings and terms of one language, read from a file and checked.

A pack is data: the comment at the top of `languages/en.yaml` explains the sections. A hospital adds words to
a pack, or a whole language, in its vocabulary file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from model.findings.text.headings import HeadingWords, Kind
from model.findings.variants import british

SHIPPED = ("en", "zh", "de", "es")
_BRACED = re.compile(r"\{([a-z_]+)\}")
STATUSES = ("negated", "uncertain", "historical", "hypothetical")
WORDS = (
    "walls", "joins", "shares", "copulas", "not_at", "comparatives", "verbs", "single_hedges",
    "openers", "generic_devices", "tips", "between", "alternatives", "links", "list", "state_walls",
    "and", "with", "old", "purposes", "prior_films", "other_views", "this_film", "seen", "at", "motion",
    "towards", "repairs", "retractions", "elided", "nouns_follow_not", "answers_no", "comma", "not",
    "none", "one", "clear", "through_lists", "explains", "or", "answers_yes", "excepts", "portions",
    "pronouns", "relatives", "showed", "conditionals", "ends_of_devices", "changes", "former", "months",
    "grades_behind", "clause_signs", "leads", "changed", "that_there",
    "denies_each", "opens_clause", "verbs_of_several", "fails", "shows", "lacks", "hidden", "needed",
    "markings", "films", "ended", "withdrawn", "partway", "compares", "than", "articles", "asides", "that",
    "were", "present", "negative", "positive", "verdict_for", "posts", "in_place", "affirms", "unmarked",
    "removed", "apparatus", "removal_of", "removal_behind", "replaced_by", "part_of", "placed",
    "well_placed", "appears", "initials", "complaints", "requests", "past", "patients", "of_patients",
    "follow_ups", "ratios", "not_done",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """A language's words for the vocabulary's concepts; English ones are in the vocabulary itself."""

    concepts: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    locations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    structures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    denials: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """One language: phrases by their function; the comments in `languages/en.yaml` explain each section."""

    language: str
    name: str
    before: Mapping[str, tuple[str, ...]]  # negated, uncertain, historical, hypothetical
    after: Mapping[str, tuple[str, ...]]
    not_negated: tuple[str, ...]
    ends: tuple[str, ...]
    new_statement: frozenset[str]
    exceptions: tuple[str, ...]
    states: Mapping[str, tuple[str, ...]]
    severity: Mapping[str, tuple[str, ...]]
    change: Mapping[str, tuple[str, ...]]
    laterality: Mapping[str, tuple[str, ...]]
    headings: HeadingWords
    body_openers: re.Pattern[str]
    words: Mapping[str, frozenset[str]]
    abbreviations: Mapping[str, str]
    letters: Mapping[str, str]
    function_words: frozenset[str]
    endings: tuple[str, ...]  # that the last word of a term may have
    terms: Terms
    wording: Mapping[str, Any]


@lru_cache(maxsize=8)
def shipped_data(language: str) -> dict[str, Any]:
    """The data of a shipped pack."""
    path = files("model.findings").joinpath("languages").joinpath(f"{language}.yaml")
    data: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    return data


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def pack_of(data: Mapping[str, Any]) -> Pack:
    """A pack from data in which `lexicon_check.pack_problems` found no problems."""

    def listed(phrases: Iterable[Any]) -> tuple[str, ...]:
        return tuple(form for phrase in phrases for form in _written_out(str(phrase), data.get("words", {})))

    def phrases(section: str) -> dict[str, tuple[str, ...]]:
        return {key: listed(of) for key, of in data.get(section, {}).items()}

    headings = data.get("headings", {})
    names: dict[str, Kind] = {str(name): kind for kind, listed in headings.items() for name in listed}
    single: dict[str, Kind] = {
        str(w): kind for kind, listed in data.get("heading_words", {}).items() for w in listed
    }
    openers = "|".join(re.escape(str(word)) for word in data.get("body_openers", ())) or r"(?!)"
    spelt = british if data["language"] == "en" else _as_written
    words = {
        key: frozenset(form for word in listed for form in spelt(str(word)))
        for key, listed in data.get("words", {}).items()
    }
    return Pack(
        language=str(data["language"]),
        name=str(data["name"]),
        before={s: listed(data.get(s, {}).get("before", ())) for s in STATUSES},
        after={s: listed(data.get(s, {}).get("after", ())) for s in STATUSES},
        not_negated=listed(data.get("not_negated", ())),
        ends=tuple(data.get("ends", ())),
        new_statement=frozenset(map(str, data.get("new_statement", ()))),
        exceptions=tuple(data.get("exceptions", ())),
        states=phrases("states"),
        severity=phrases("severity"),
        change=phrases("change"),
        laterality=phrases("laterality"),
        headings=HeadingWords(
            names=names, words=single, bare=frozenset(map(str, data.get("bare_headings", ())))
        ),
        body_openers=re.compile(rf"(?:{openers})(?!\w)", re.IGNORECASE),
        words={key: words.get(key, frozenset()) for key in WORDS},
        abbreviations={str(k).lower(): str(v) for k, v in data.get("abbreviations", {}).items()},
        letters={str(k): str(v) for k, v in data.get("letters", {}).items()},
        function_words=frozenset(map(str, data.get("function_words", ()))),
        endings=tuple(map(str, data.get("endings", ()))),
        terms=_terms(data.get("terms", {})),
        wording=data.get("wording", {}),
    )


@lru_cache(maxsize=16)
def denial_of(pack: Pack) -> str:
    """The word of a language that denies what follows; empty if its pack names none."""
    return next((word for word in pack.before["negated"] if word in pack.words["none"]), "")


def _written_out(phrase: str, words: Mapping[str, Any]) -> Iterator[str]:
    """The phrases that "neither {changes} nor {changes}" stands for; {changes} is a list of `words`."""
    name = _BRACED.search(phrase)
    if name is None:
        yield phrase
        return
    for word in words[name[1]]:
        yield from _written_out(phrase.replace(name[0], str(word), 1), words)


def _as_written(phrase: str) -> tuple[str, ...]:
    return (phrase,)


def _terms(data: Mapping[str, Any]) -> Terms:
    def listed(section: str) -> dict[str, tuple[str, ...]]:
        return {key: tuple(words) for key, words in data.get(section, {}).items()}

    concepts = {
        key: {name: tuple(words) for name, words in entry.items()}
        for key, entry in data.get("concepts", {}).items()
    }
    return Terms(
        concepts=concepts,
        locations=listed("locations"),
        structures=listed("structures"),
        denials=listed("denials"),
        ignore=tuple(data.get("ignore", ())),
    )
