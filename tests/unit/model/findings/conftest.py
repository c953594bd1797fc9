"""Fixtures for the tests of findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.findings.extract import extract_findings
from model.findings.types import Finding
from model.findings.vocabulary import Vocabulary, load_vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The shipped vocabulary."""
    return load_vocabulary()


@pytest.fixture(scope="session")
def annotated(repository: Path) -> Path:
    """Our own annotated chest sentences."""
    return repository / "tests" / "data" / "chest_sentences.jsonl"


def stated(text: str) -> str:
    """What a text states, in the short form of the expectations: "+pleural_effusion@L -pneumothorax"."""
    return " ".join(sorted(map(_short, extract_findings(text))))


def _short(finding: Finding) -> str:
    sign = {"present": "+", "absent": "-", "indeterminate": "?"}[finding.presence]
    side = "" if finding.laterality is None else f"@{finding.laterality[0].upper()}"
    change = "" if finding.change is None else f"~{finding.change}"
    return f"{sign}{finding.concept}{side}{change}"
