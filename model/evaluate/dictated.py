"""Judges whether sentences of free text are well-formed: the measure for networks trained on dictation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from model.findings.canonical import CanonicalReading, split_sentences
from model.findings.extract import extract_findings
from model.network.tokenizer import ReportTokenizer
from model.network.word_order import WordOrder, learn_word_order
from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec
from model.phantom.phrases import TECHNIQUE
from model.reporting.garble import garble

_LEARNED = 1_000  # phantoms
_TECHNIQUE = frozenset(line.casefold() for lines in TECHNIQUE.values() for line in lines)


def read_dictated(text: str, tokenizer: ReportTokenizer) -> CanonicalReading:
    """Reads a free report: a sentence is broken if it repeats itself, ends early, or has its words in a wrong
    order.

    Numbers of a list and the line about the technique state nothing and are not counted.
    """
    for title in ("FINDINGS:", "IMPRESSION:"):
        text = text.replace(title, " ")
    sentences = [s for s in split_sentences(text) if not _is_frame(s)]
    broken = sum(bool(garble(sentence, tokenizer, canonical=False, order=_order())) for sentence in sentences)
    return CanonicalReading(
        findings=extract_findings(text),
        sentences=len(sentences),
        broken=broken,
        legal=bool(sentences) and not broken,
    )


@lru_cache(maxsize=1)
def _order() -> WordOrder:
    """The word order of dictation, learned from phantoms that no network is measured on."""
    reports = (dictated_report(draw_spec(seed), np.random.default_rng(seed)) for seed in range(_LEARNED))
    return learn_word_order(sentence for report in reports for sentence in split_sentences(report))


def _is_frame(sentence: str) -> bool:
    return sentence.removesuffix(".").isdigit() or sentence.casefold() in _TECHNIQUE
