"""The names of parametrised tests, which every test process generates for itself."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

TEST = """
import gzip
import pytest

@pytest.mark.parametrize("content", [gzip.compress(b"", mtime={moment}), b"line"])
def test_one(content):
    pass
"""


def test_names_are_the_same_at_another_moment(repository: Path, tmp_path: Path) -> None:
    """A gzip file holds its creation time, so processes that collected a second apart ran no tests."""
    names = []
    # The options of the current run must not apply here.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    for moment in (1, 2):
        (tmp_path / "test_one.py").write_text(TEST.format(moment=moment), "utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-c",
            "/dev/null",
            "-p",
            "no:cacheprovider",
        ]
        done = subprocess.run(
            [*command, "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path / "test_one.py")],
            cwd=repository, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        names.append([line for line in done.stdout.splitlines() if "::" in line])
    assert names[0] == names[1] == ["test_one.py::test_one[content0]", "test_one.py::test_one[content1]"]
    assert gzip.compress(b"", mtime=1) != gzip.compress(b"", mtime=2)
