"""A forked process behaves like a started one for the code that starts, kills and awaits it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen, warm_run

# Starts a child, prints its process id, and runs for ever.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_warm_process_has_arguments_folder_environment_and_status(tmp_path: Path) -> None:
    """They are as with `python -c`."""
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['ONE']); sys.exit(3)"
    done = warm_run(
        [sys.executable, "-c", code, "a"],
        cwd=tmp_path,
        env={**os.environ, "ONE": "1"},
        text=True,
        timeout=240,
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"['a'] {tmp_path} 1\n", "", 3)


def test_warm_process_reports_an_uncaught_exception() -> None:
    """The exception is on standard error, and the status is 1."""
    done = warm_run([sys.executable, "-c", "raise ValueError('no')"], text=True, timeout=240)
    assert (done.stderr.splitlines()[-1], done.returncode) == ("ValueError: no", 1)


def test_warm_process_is_awaited_for_so_long() -> None:
    """The process continues after the time-out, and can be killed like any other."""
    with WarmPopen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
        assert process.poll() is None
        process.kill()
        assert process.wait(timeout=240) == -signal.SIGKILL


def test_children_of_a_warm_process_die_with_its_group() -> None:
    """A power cut ends the whole tree: a surviving child would shut down in order, as without a cut."""
    with WarmPopen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert child.ppid() == process.pid
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(timeout=240) == -signal.SIGKILL
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
