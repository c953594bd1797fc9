"""Runs a benchmark that kills the agent's processes, in a separate process.

The processes that the benchmark starts are forks, like itself, because starting them anew would take most of
its time.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from agent.commands.demo.service import own_environment
from tests.support.warm_python import warm_run


def result_of(program: str, *options: str) -> dict[str, Any]:
    """Run a program that ends with one line of JSON; return its value."""
    done = warm_run([sys.executable, program, *options], env=own_environment(), text=True, timeout=560)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
