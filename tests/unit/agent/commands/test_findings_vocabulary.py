"""The setting `findings.vocabulary`: checked by `config check`, and in force in the process that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands.configuration.check import check
from agent.foundation.errors import SettingsError
from model.findings.extract import extract_findings
from model.findings.vocabulary import put_in_force


@pytest.fixture(autouse=True)
def shipped_afterwards() -> Iterator[None]:
    """Restore the shipped vocabulary after each test."""
    yield
    put_in_force(None)


def configured(folder: Path, vocabulary: str) -> Path:
    """A configuration with a vocabulary file of this content."""
    (folder / "ours.yaml").write_text(vocabulary)
    config = folder / "config.yaml"
    config.write_text(f"findings: {{vocabulary: {folder / 'ours.yaml'}}}\n")
    return config


def test_checked_vocabulary_is_in_force(tmp_path: Path) -> None:
    """A hospital's synonym is recognised after the check."""
    assert extract_findings("Pleural air on the left.") == ()
    check(configured(tmp_path, "version: w\nconcepts: {pneumothorax: {synonyms: [pleural air]}}\n"))
    assert [f.concept for f in extract_findings("Pleural air on the left.")] == ["pneumothorax"]


def test_synonym_of_another_concept_is_refused(tmp_path: Path) -> None:
    """The check names the concept that owns the word."""
    config = configured(tmp_path, "version: w\nconcepts: {pneumothorax: {synonyms: [effusion]}}\n")
    with pytest.raises(SettingsError, match="already belongs to pleural_effusion"):
        check(config)
