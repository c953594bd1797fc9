"""The word order that a checkpoint learned."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np

from model.network.tokenizer import train_tokenizer
from model.network.word_order import WordOrder, learn_word_order, load_word_order
from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec
from model.reporting.garble import garble

SMALL = train_tokenizer(["No."])


def sentences(seeds: range) -> list[list[str]]:
    """Return the sentences of dictated phantoms, one list per report."""
    reports = [dictated_report(draw_spec(seed), np.random.default_rng(seed)) for seed in seeds]
    cut = [re.split(r"(?<=\.)\s+|\n", re.sub("FINDINGS:|IMPRESSION:", "", report)) for report in reports]
    return [[s.strip() for s in report if len(s.split()) > 1] for report in cut]


def flagged(report: list[str], order: WordOrder) -> bool:
    """Whether the garble check finds something; with a large vocabulary no word counts as unknown."""
    return any(garble(s, LARGE, canonical=False, order=order) for s in report)


class _Large:
    spells_whole_words = False


LARGE = _Large()  # type: ignore[assignment]


def swapped(sentence: str, rng: random.Random) -> str:
    """Return the sentence with one word displaced, as one-step decoding leaves it."""
    words = sentence.rstrip(".").split()
    words.insert(rng.randrange(len(words)), words.pop(rng.randrange(len(words))))
    return " ".join(words) + "."


def test_honest_reports_are_not_flagged_and_broken_ones_are() -> None:
    """At most one sound report in twenty is flagged; nine in ten with displaced words are found."""
    order = learn_word_order(s for report in sentences(range(500)) for s in report)
    honest = sentences(range(1000, 1100))
    rng = random.Random(0)
    broken = [[swapped(s, rng) if len(s.split()) > 3 else s for s in report] for report in honest]
    assert sum(flagged(report, order) for report in honest) <= 5
    assert sum(flagged(report, order) for report in broken) >= 90


def test_word_order_is_kept_beside_the_weights(tmp_path: Path) -> None:
    """What was learned is read back; a folder without it has no word order."""
    assert load_word_order(tmp_path) is None
    order = learn_word_order(["Small left effusion.", "No effusion."] * 30)
    order.save(tmp_path)
    assert load_word_order(tmp_path) == order
    assert order.strange_pair("Small effusion left.") == "small effusion"
