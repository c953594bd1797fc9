"""`echo-agent draft`: one study's fault is that study's alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.commands import draft_files as module
from agent.commands.draft_files import draft_files
from agent.foundation.settings.tree import Settings
from tests.support.films import chest_film, file_bytes


def test_unforeseen_fault_of_one_study_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever reading one study raises, every study has its line, without a word of its data."""
    for number in (1, 2):
        uid = f"1.2.{number}"
        film = chest_film(StudyInstanceUID=uid, SOPInstanceUID=f"{uid}.1", SeriesInstanceUID=f"{uid}.0")
        (tmp_path / f"{number}.dcm").write_bytes(file_bytes(film))

    def fail(*_arguments: Any, **_named: Any) -> None:
        raise ZeroDivisionError("DOE^JANE")

    monkeypatch.setattr(module, "read_study", fail)
    results = draft_files([tmp_path], Settings(), None)
    assert [(one.state, one.code) for one in results] == [("FAILED", "unexpected")] * 2
    assert "DOE" not in str(results)
