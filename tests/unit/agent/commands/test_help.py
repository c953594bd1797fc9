"""Help and shell completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from agent.commands.cli import app

# Bash's completion protocol: the words so far, and the index of the word that is being typed.
SHELLS = {
    "bash": {"COMP_WORDS": "echo-agent dead re", "COMP_CWORD": "2"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "echo-agent dead re"},
    "fish": {"_TYPER_COMPLETE_ARGS": "echo-agent dead re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its path."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_and_option_is_explained() -> None:
    """Each command's help begins with a sentence, and every option has a help text."""
    silent = []
    for words, command in commands():
        if not (command.help or "").split("\n")[0].endswith((".", "1.", ":")):
            silent.append(" ".join(words))
        silent.extend(
            f"{' '.join(words)} {one.name}"
            for one in command.params
            if not getattr(one, "hidden", False) and not getattr(one, "help", None)
        )
    assert silent == []


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    """`-h` works for every command, without a database or a configuration."""
    result = CliRunner().invoke(app, [*words, "-h"])
    assert (result.exit_code, "Usage:" in result.stdout) == (0, True)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_the_commands(shell: str) -> None:
    """The shell is offered the command that matches what was typed."""
    environment = {**os.environ, **SHELLS[shell], "_ECHO_AGENT_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(
        [sys.executable, "-m", "agent"], env=environment, capture_output=True, text=True, check=False
    )
    assert "retry" in done.stdout
    assert "list" not in done.stdout


def test_completion_script_can_be_shown() -> None:
    """The script for the shell's start-up file is printed, and names this program."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--show-completion", "bash"],
        # The shell is named, as the tests need not have been started from one.
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "_ECHO_AGENT_COMPLETE=complete_bash" in done.stdout) == (0, True)
