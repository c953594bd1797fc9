"""The systemd units are right and hardened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

UNITS = ("echo-agent-listener.service", "echo-agent-worker@.service", "echo-agent-deliverer.service")
PROGRAM = "/opt/echo-agent/bin/echo-agent"
# Tenths; 10.0 is wide open.
MOST_EXPOSED = 30


def test_units_verify(repository: Path, tmp_path: Path, program: Callable[[str], str]) -> None:
    """systemd finds nothing to say of the units, once the program that they start is there."""
    for name in (*UNITS, "echo-agent.target"):
        text = (repository / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(PROGRAM, sys.executable), encoding="utf-8")
    names = [str(tmp_path / name.replace("@.", "@1.")) for name in (*UNITS, "echo-agent.target")]
    done = subprocess.run([program("systemd-analyze"), "verify", *names], capture_output=True, text=True)
    assert (done.stderr.strip(), done.returncode) == ("", 0)


@pytest.mark.parametrize("name", UNITS)
def test_units_are_hardened(name: str, repository: Path, program: Callable[[str], str]) -> None:
    """No unit is more exposed than it has to be."""
    unit = str(repository / "systemd" / name)
    command = [program("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize(("name", "command"), list(zip(UNITS, ("listen", "work", "deliver"), strict=True)))
def test_units_start_commands_that_there_are(name: str, command: str, repository: Path) -> None:
    """Each unit starts its own command, and waits for it to say that it is ready."""
    text = (repository / "systemd" / name).read_text(encoding="utf-8")
    assert f"ExecStart={PROGRAM} {command} --config /etc/echo-agent/config.yaml" in text
    assert "Type=notify" in text
