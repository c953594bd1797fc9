"""The suite's own check: files that tests leave in the checkout are found."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import untracked_files


def test_files_that_git_does_not_know_are_found(tmp_path: Path) -> None:
    """Files in folders count, tracked and ignored ones do not; outside a checkout there are none."""
    (tmp_path / "deep").mkdir()
    for name in (".gitignore", "tracked", "ignored", "left", "deep/left behind"):
        (tmp_path / name).write_text("ignored\n")
    assert untracked_files(tmp_path) == set()

    for command in (["init", "--quiet"], ["add", ".gitignore", "tracked"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)

    assert untracked_files(tmp_path) == {"left", "deep/left behind"}
