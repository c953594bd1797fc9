"""The systemd units are valid and hardened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMANDS = {
    "echo-agent-listener.service": "listen",
    "echo-agent-worker@.service": "work",
    "echo-agent-deliverer.service": "deliver",
    "echo-agent-housekeeping.service": "housekeep",
    "echo-agent-web.service": "web",
    "echo-agent-ups.service": "ups serve",
    "echo-agent-challenger.service": "work --challenger",
    "echo-agent-backfill.service": "backfill run --follow",
}
# Started only if an administrator enables them.
OPTIONAL = {"echo-agent-ups.service", "echo-agent-challenger.service", "echo-agent-backfill.service"}
TARGET = "echo-agent.target"
PROGRAM = "/opt/echo-agent/bin/echo-agent"
# In tenths; 10.0 is fully exposed.
MOST_EXPOSED = 30


def text_of(repository: Path, name: str) -> str:
    """Return the text of a unit."""
    return (repository / "systemd" / name).read_text(encoding="utf-8")


def test_every_unit_is_tested(repository: Path) -> None:
    """No unit is missing from this file or from the target."""
    assert {path.name for path in (repository / "systemd").glob("*.service")} == set(COMMANDS)
    wanted = " ".join(
        line.removeprefix("Wants=")
        for line in text_of(repository, TARGET).splitlines()
        if line.startswith("Wants=")
    ).split()
    assert set(wanted) == {name.replace("@.", "@1.") for name in set(COMMANDS) - OPTIONAL}


def test_units_verify(repository: Path, tmp_path: Path, program: Callable[[str], str]) -> None:
    """systemd reports nothing about the units if the program that they start exists."""
    for name in (*COMMANDS, TARGET):
        text = text_of(repository, name)
        (tmp_path / name).write_text(text.replace(PROGRAM, sys.executable), encoding="utf-8")
    names = [str(tmp_path / name.replace("@.", "@1.")) for name in (*COMMANDS, TARGET)]
    done = subprocess.run([program("systemd-analyze"), "verify", *names], capture_output=True, text=True)
    assert (done.stderr.strip(), done.returncode) == ("", 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_units_are_hardened(name: str, repository: Path, program: Callable[[str], str]) -> None:
    """No unit is more exposed than necessary."""
    unit = str(repository / "systemd" / name)
    command = [program("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_units_start_commands_that_there_are(name: str, command: str, repository: Path) -> None:
    """Each unit starts its own command, waits until it reports ready, and restarts it if it hangs."""
    lines = text_of(repository, name).splitlines()
    assert f"ExecStart={PROGRAM} {command} --config /etc/echo-agent/config.yaml" in lines
    assert {"Type=notify", "WatchdogSec=60", "Restart=on-failure", "PartOf=echo-agent.target"} <= set(lines)


def test_backfill_gets_what_the_others_leave(repository: Path) -> None:
    """Its share of processor and disk is less than the default of 100, and its niceness is higher."""
    lines = set(text_of(repository, "echo-agent-backfill.service").splitlines())
    assert {"Nice=10", "CPUWeight=20", "IOWeight=20", "IOSchedulingPriority=7"} <= lines


@pytest.mark.parametrize(
    ("program_name", "file"), [("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")]
)
def test_users_and_folders_can_be_made(
    program_name: str, file: str, repository: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """systemd itself reads both files, and can create the user and the folders in a root of our own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("echo-agent:x:990:990::/var/lib/echo-agent:/usr/sbin/nologin\n")
    (tmp_path / "etc" / "group").write_text("echo-agent:x:990:\n")
    command = [program(program_name), f"--root={tmp_path}"]
    if file == "tmpfiles":
        command.append("--create")
    path = str(repository / "systemd" / f"echo-agent.{file}.conf")
    done = subprocess.run([*command, path], capture_output=True, text=True)
    # Only root may give folders to another user; any other user gets that error, and must get no other.
    complaints = [
        line for line in done.stderr.splitlines() if "permitted" not in line and "chown" not in line
    ]
    assert complaints == []
    if file == "tmpfiles":
        assert (tmp_path / "var/lib/echo-agent/instances").is_dir()
