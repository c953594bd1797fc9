"""Freely worded sentences: which are broken, and which are not statements at all."""

from __future__ import annotations

from model.evaluate.dictated import read_dictated
from model.findings.types import Presence
from model.network.tokenizer import train_tokenizer
from model.phantom import training_example


def test_dictations_themselves_are_read_as_whole() -> None:
    """The measure accepts the language that the phantoms dictate."""
    texts = [training_example(seed, size=28).dictated for seed in range(40)]
    tokenizer = train_tokenizer(texts, minimum_count=1)

    readings = [read_dictated(text, tokenizer) for text in texts]

    assert sum(reading.broken for reading in readings) <= 0.01 * sum(r.sentences for r in readings)


def test_disordered_sentences_count_as_broken_and_frames_not_at_all() -> None:
    """A sentence that repeats a word or states nothing is broken; numbers and technique do not count."""
    text = "FINDINGS: CXR PA/LAT. Small left left effusion. The of is. No pneumothorax. IMPRESSION: 1. PTX."
    tokenizer = train_tokenizer([text], minimum_count=1)

    reading = read_dictated(text, tokenizer)

    assert (reading.sentences, reading.broken, reading.legal) == (4, 2, False)
    assert any(f.concept == "pneumothorax" and f.presence is Presence.ABSENT for f in reading.findings)
