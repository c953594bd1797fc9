"""Phrases of a language pack that stand for several phrases."""

from __future__ import annotations

from model.findings.lexicon import pack_of
from model.findings.lexicon_check import pack_problems

PACK = {"language": "xx", "name": "X", "words": {"changes": ["growth", "shrinkage"]}}


def test_name_in_braces_stands_for_each_word_of_its_list() -> None:
    """ "No {changes} or {changes}" is four phrases."""
    pack = pack_of(PACK | {"not_negated": ["no {changes} or {changes}", "unchanged"]})
    assert pack.not_negated == (
        *(
            "no growth or growth",
            "no growth or shrinkage",
            "no shrinkage or growth",
            "no shrinkage or shrinkage",
        ),
        "unchanged",
    )


def test_name_in_braces_without_a_list_is_refused() -> None:
    """A misspelt list name is reported with its section when the pack is checked."""
    problems = pack_problems("xx", PACK | {"negated": {"before": ["no {chnges} of"]}}, {})
    assert problems == ["languages.xx.negated: {chnges} is not a list of `words`"]
