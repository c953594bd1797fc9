"""The shape of a hospital's vocabulary file and of a language pack: one table of sections for each."""

from __future__ import annotations

from typing import Any, get_args

from model.findings.lexicon import STATUSES, WORDS
from model.findings.shape import KeyedShape, PlainValue, RecordList, RecordShape, Shape, WordList
from model.findings.text.headings import Kind

STATES = ("enlarged", "widened", "borderline", "prominent", "engorged", "elevated", "blunted", "deviated",
           "fractured", "opacified")  # fmt: skip


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_version(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_code(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value)


_TEXT = PlainValue("text", _is_text)
_FLAG = PlainValue("true or false", lambda value: isinstance(value, bool))
_VERSION = PlainValue("text or a number", _is_version)
_TEXT_OR_NULL = PlainValue("text or null", lambda value: value is None or _is_text(value))
_CODE = PlainValue("[scheme, value, meaning], all text (in quotation marks)", _is_code)
_ANY = PlainValue("anything", lambda _value: True)  # checked by its own module: text_maps, wording_check
_WORDS = WordList()

_CONCEPT = RecordShape({
    "name": _TEXT, "chexpert": _TEXT_OR_NULL, "region": _TEXT, "code": _CODE, "site": _TEXT,
    **dict.fromkeys(("device", "acute", "broad", "sided", "passes"), _FLAG),
    **dict.fromkeys(("synonyms", "weak", "inverse"), _WORDS),
    "becomes": KeyedShape(_WORDS),
})  # fmt: skip
_STRUCTURE = RecordShape({"terms": _WORDS, "normal": _WORDS, "states": KeyedShape(_TEXT), "clear": _FLAG})

VOCABULARY = RecordShape({
    "version": _VERSION,
    "concepts": KeyedShape(_CONCEPT),
    "locations": KeyedShape(RecordShape({"name": _TEXT, "terms": _WORDS})),
    "structures": KeyedShape(_STRUCTURE),
    **dict.fromkeys(("denials", "malposition", "misplaced"), KeyedShape(_WORDS)),
    **dict.fromkeys(("state_normal", "artefacts", "ignore"), _WORDS),
    "elsewhere": RecordList(RecordShape({"concepts": _WORDS, "words": _WORDS}, needed=("concepts", "words"))),
    "abbreviations": _ANY,
    "languages": KeyedShape(_ANY),
})  # fmt: skip


def _sections(*names: str) -> RecordShape:
    return RecordShape(dict.fromkeys(names, _WORDS))


_LISTS = ("not_negated", "ends", "new_statement", "exceptions", "body_openers", "bare_headings",
          "function_words", "endings")  # fmt: skip
_PACK: dict[str, Shape] = {
    "language": _TEXT,
    "name": _TEXT,
    "version": _VERSION,
    **dict.fromkeys(_LISTS, _WORDS),
    **dict.fromkeys(STATUSES, _sections("before", "after")),
    "states": _sections("normal", "clear", *STATES),
    "severity": _sections("mild", "moderate", "severe", "none"),
    "change": _sections("new", "increased", "decreased", "unchanged", "resolved"),
    "laterality": _sections("left", "right", "bilateral", "either"),
    "headings": _sections(*get_args(Kind)),
    "heading_words": _sections(*get_args(Kind)),
    "words": _sections(*WORDS),
    "abbreviations": _ANY,
    "letters": _ANY,
    "terms": RecordShape({
        "concepts": KeyedShape(_sections("synonyms", "weak", "inverse")),
        **dict.fromkeys(("locations", "structures", "denials"), KeyedShape(_WORDS)),
        **dict.fromkeys(("ignore", "both"), _WORDS),
    }),
    "wording": _ANY,
}  # fmt: skip
PACK = RecordShape(_PACK)
