"""Fixtures for the tests of findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.findings.vocabulary import Vocabulary, load_vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The shipped vocabulary."""
    return load_vocabulary()


@pytest.fixture(scope="session")
def annotated(repository: Path) -> Path:
    """Our own annotated chest sentences."""
    return repository / "tests" / "data" / "chest_sentences.jsonl"
