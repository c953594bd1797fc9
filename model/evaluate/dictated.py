"""Is a sentence of freely worded text a sentence? The measure of networks that were trained on dictation."""

from __future__ import annotations

from model.findings.canonical import CanonicalReading, split_sentences
from model.findings.extract import extract_findings
from model.network.tokenizer import ReportTokenizer
from model.phantom.phrases import TECHNIQUE
from model.reporting.garble import garble

_TECHNIQUE = frozenset(line.casefold() for lines in TECHNIQUE.values() for line in lines)


def read_dictated(text: str, tokenizer: ReportTokenizer) -> CanonicalReading:
    """Reads a free report: a sentence is broken where it repeats itself, ends early, or states nothing.

    Numbers of a list and the line about the technique state nothing and are not counted.
    """
    for title in ("FINDINGS:", "IMPRESSION:"):
        text = text.replace(title, " ")
    sentences = [s for s in split_sentences(text) if not _is_frame(s)]
    broken = sum(bool(garble(sentence, tokenizer, canonical=False)) for sentence in sentences)
    return CanonicalReading(
        findings=extract_findings(text),
        sentences=len(sentences),
        broken=broken,
        legal=bool(sentences) and not broken,
    )


def _is_frame(sentence: str) -> bool:
    return sentence.removesuffix(".").isdigit() or sentence.casefold() in _TECHNIQUE
