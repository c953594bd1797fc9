"""Commands that docs/training.md names inside a sentence: each exists, with the options given there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import agent.commands.cli
import model.commands.cli

APPS = {"echo-model": model.commands.cli.app, "echo-agent": agent.commands.cli.app}


def commands_in_prose(page: Path) -> list[str]:
    """The code spans outside the fenced blocks that begin with one of our programs."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return [span for span in dict.fromkeys(spans) if span.split()[0] in APPS]


def test_commands_inside_sentences_exist(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help of each command is printed and names every option used."""
    monkeypatch.setenv("COLUMNS", "200")
    found = commands_in_prose(repository / "docs" / "training.md")

    for command in found:
        program, *words = shlex.split(command)
        options = [word for word in words if word.startswith("--")]
        names = [word for word in words[: words.index(options[0])] if options] if options else words
        shown = CliRunner().invoke(APPS[program], [*names, "--help"])
        assert shown.exit_code == 0, f"{command}: {shown.output}"
        assert [option for option in options if option not in shown.output] == [], command

    assert len(found) >= 3
