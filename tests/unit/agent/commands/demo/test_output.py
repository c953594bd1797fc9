"""The demo never removes files other than its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.commands.demo.output import prepare
from agent.foundation.errors import NotOurFolder


def test_output_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    """The files of the last demo are removed."""
    folder = prepare(tmp_path / "demo")
    (folder / "1.2.3").mkdir()
    (folder / "1.2.3" / "report.dcm").write_bytes(b"x")
    assert [path.name for path in prepare(folder).iterdir()] == [".echo-agent-demo"]


def test_output_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    """A folder with a user's own files is left as it is."""
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(NotOurFolder):
        prepare(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "mine"
