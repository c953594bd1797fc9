"""Detects the language of a report: by script, by known words, then by a statistical language model.

Reading a report in the wrong language reverses findings ("Kein Pneumothorax" is a denial). A text that no
pack can read is refused, never read as English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from model.findings.spans import reader_for
from model.findings.vocabulary import Vocabulary

_WORD = re.compile(r"[^\W\d_]{1,40}")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_OTHER_SCRIPT = re.compile(
    r"[\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\uac00-\ud7af]"
)
_KNOWN = 0.5  # share of words that a pack must know for a text to be in its language
_SAMPLE = 400  # words of a report that are looked at
_MARKS = 3  # words of another language that make a sentence foreign where none of them denies
_PLENTY = 4  # words that make a text long enough for the language model


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """`pack` is the code of the pack that reads it, "" for none; `name` is the apparent language."""

    pack: str
    name: str


def language_of(text: str, vocabulary: Vocabulary) -> Language:
    """The language of a report. A text without words is read in the vocabulary's first language."""
    packs = vocabulary.packs
    first = next(iter(packs))
    if text.isascii():
        words = list(_words_in(text)[:_SAMPLE])
        return _by_words(words, text, vocabulary) if words else Language(pack=first, name=packs[first].name)
    han = len(_HAN.findall(text))
    other = len(_OTHER_SCRIPT.findall(text))
    words = [word.lower() for word in _WORD.findall(_HAN.sub(" ", text) if han else text)[:_SAMPLE]]
    letters = sum(len(word) for word in words)
    if other > 0.2 * max(1, letters + han):
        return Language(pack="", name="another script")
    if han and han * 2 > letters * 0.5:
        return (
            Language(pack="zh", name=packs["zh"].name) if "zh" in packs else Language(pack="", name="Chinese")
        )
    if not words:
        return Language(pack=first, name=packs[first].name)
    return _by_words(words, text, vocabulary)


def may_be_mixed(text: str, language: Language, vocabulary: Vocabulary) -> bool:
    """Whether a report holds any word of another language: only then is each sentence checked."""
    if not text.isascii():
        return True
    denials, others = _foreign_marks(vocabulary, language.pack)
    words = _words_in(text)
    return not (denials.isdisjoint(words) and others.isdisjoint(words))


def foreign_sentence(sentence: str, language: Language, vocabulary: Vocabulary) -> str:
    """Why a sentence of a report is not read: it is in a different language from the report; "" otherwise."""
    if language.pack == "zh":
        return ""
    if not sentence.isascii() and (_HAN.search(sentence) or _OTHER_SCRIPT.search(sentence)):
        return "the sentence is in another script than the report"
    words = _WORD.findall(sentence.lower())
    denials, others = _foreign_marks(vocabulary, language.pack)
    if denials.isdisjoint(words) and others.isdisjoint(words):
        return ""
    denial = next((word for word in words if word in denials), "")
    foreign = sum(word in denials or word in others for word in words)
    own = sum(word in vocabulary.packs[language.pack].function_words for word in words)
    if (denial and foreign >= own) or (foreign >= _MARKS and foreign > own):
        quoted = denial or next(word for word in words if word in others)
        return f"the sentence seems to be in another language than the report (“{quoted}”)"
    return ""


@lru_cache(maxsize=4)
def _words_in(text: str) -> tuple[str, ...]:
    """The words of an ASCII text in lower case; cached, because a report needs them twice."""
    return tuple(_WORD.findall(text.lower()))


def _by_words(words: list[str], text: str, vocabulary: Vocabulary) -> Language:
    kinds = Counter(map(_kinds_of_words(vocabulary).get, words))

    def share(*wanted: str, but: str = "") -> float:
        hits = (n for kind, n in kinds.items() if kind and kind.issuperset(wanted) and but not in kind)
        return sum(hits) / len(words)

    known = {code: share(f"known {code}") for code in vocabulary.packs if code != "zh"}
    marks = {code: share(f"mark {code}") for code in known}
    best = max(known, key=lambda code: (known[code] + marks[code], code == "en"))
    foreign = share("unread", but=f"known {best}")
    if known[best] + marks[best] >= _KNOWN and foreign <= marks[best]:
        return Language(pack=best, name=vocabulary.packs[best].name)
    code = _classified(text) if len(words) >= _PLENTY else ""
    if code in known and foreign <= marks[code]:
        return Language(pack=code, name=vocabulary.packs[code].name)
    if not code and not foreign:
        return Language(pack=best, name=vocabulary.packs[best].name)
    if known[best] + marks[best] > 0.3 and not foreign:
        return Language(pack=best, name=vocabulary.packs[best].name)
    return Language(pack="", name=code or "unknown")


@lru_cache(maxsize=16)
def _kinds_of_words(vocabulary: Vocabulary) -> dict[str, frozenset[str]]:
    """What each word indicates about the language: known to a pack, a function word of it, or of a
    language without a pack.
    """
    denials, others = _unread_words()
    groups: dict[str, Set[str]] = {"unread": denials | others}
    for code, pack in vocabulary.packs.items():
        if code != "zh":
            groups |= {f"known {code}": _words_of(vocabulary, code), f"mark {code}": pack.function_words}
    kinds: dict[str, set[str]] = {}
    for name, group in groups.items():
        for word in group:
            kinds.setdefault(word, set()).add(name)
    shared: dict[frozenset[str], frozenset[str]] = {}
    return {word: shared.setdefault(frozenset(of), frozenset(of)) for word, of in kinds.items()}


@lru_cache(maxsize=32)
def _words_of(vocabulary: Vocabulary, code: str) -> frozenset[str]:
    """The words of a pack, without the medical words that many languages share."""
    pack = vocabulary.packs[code]
    own = reader_for(vocabulary, code).known_words | set(pack.abbreviations) | pack.function_words
    return frozenset(own)


@lru_cache(maxsize=32)
def _foreign_marks(vocabulary: Vocabulary, code: str) -> tuple[frozenset[str], frozenset[str]]:
    """(denials, other small words) that only other languages have, without any word that this one knows."""
    own = _words_of(vocabulary, code)
    denials, others = _unread_words()
    for other, pack in vocabulary.packs.items():
        if other != code:
            denying = {*pack.before["negated"], *pack.words["answers_no"]}
            denials |= {word for word in denying if word.isalpha() and len(word) > 1}
            others |= pack.function_words
    return denials - own, frozenset(word for word in others - denials - own if len(word) > 1)


@lru_cache(maxsize=1)
def _unread_words() -> tuple[frozenset[str], frozenset[str]]:
    from importlib.resources import files

    import yaml

    text = files("model.findings").joinpath("languages").joinpath("unread.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Mapping[str, list[str]]] = yaml.safe_load(text)
    denials = frozenset(word for entry in listed.values() for word in entry["denials"])
    return denials, frozenset(word for entry in listed.values() for word in entry["words"])


def _classified(text: str) -> str:
    """The language of a text according to py3langid (ISO 639-1)."""
    import py3langid  # loads its model, needed only if the words do not decide

    code: str = py3langid.classify(text[:2000])[0]
    return code
