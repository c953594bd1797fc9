"""Runs a benchmark that kills the agent's processes, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from agent.commands.demo.service import own_environment


def result_of(program: str, *options: str) -> dict[str, Any]:
    """Run a program that ends with one line of JSON; return what it says there."""
    done = subprocess.run(
        [sys.executable, program, *options],
        env=own_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=560,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
