"""Failpoints: off by default, exact when requested, and each listed one in the code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.foundation.failpoints import NAMES, VARIABLE, Failpoint

PASSES = (
    "from agent.foundation.failpoints import failpoint\n"
    "for n in range(5): failpoint('store.before-rename'); print(n)"
)


def run(value: str | None) -> tuple[int, str]:
    """Pass one failpoint five times in a separate process; return its status and output."""
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    if value is not None:
        environment[VARIABLE] = value
    done = subprocess.run(
        [sys.executable, "-u", "-c", PASSES], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, "".join(done.stdout.split())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (0, "01234")),
        ("store.before-rename", (-signal.SIGKILL, "")),
        ("store.before-rename:3", (-signal.SIGKILL, "01")),
        ("delivery.before-row", (0, "01234")),
    ],
)
def test_process_dies_at_the_pass_that_was_asked_for(value: str | None, expected: tuple[int, str]) -> None:
    """Only if this failpoint is named is the process killed, at the requested pass."""
    assert run(value) == expected


@pytest.mark.parametrize("value", ["nowhere", "store.before-rename:0", "store.before-rename:x"])
def test_wrong_failpoint_is_refused(value: str) -> None:
    """A misspelt name is refused, so that a test cannot pass without its failpoint."""
    with pytest.raises(ValueError, match=r".+"):
        Failpoint(value)


def test_every_name_stands_at_one_place_in_the_code(repository: Path) -> None:
    """Each listed name is used exactly once in the code."""
    found = [
        name
        for path in sorted((repository / "agent").rglob("*.py"))
        for name in re.findall(r'failpoint\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(NAMES)
