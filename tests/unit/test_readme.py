"""The commands shown in README.md and CONTRIBUTING.md exist, with the options shown."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import agent.commands.cli
import model.commands.cli
from agent.commands.configuration.check import check

PAGES = ("README.md", "CONTRIBUTING.md")
PROGRAMS = {"echo-agent": agent.commands.cli.app, "echo-model": model.commands.cli.app}
# A placeholder for the user's own value, e.g. `UID`, `FILE…`, `DIR`.
PLACEHOLDER = re.compile(r"[A-Z]+…?")


def fenced(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block."""
    text = page.read_text(encoding="utf-8")
    for indent, language, block in re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE):
        yield language, re.sub(f"^{indent}", "", block, flags=re.MULTILINE)


def commands_of(page: Path) -> set[str]:
    """Return the commands in fenced blocks and in the text: `make …`, `echo-agent …`, `echo-model …`."""
    lines = [line for language, block in fenced(page) if not language for line in block.splitlines()]
    sentences = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    found = lines + re.findall(r"`([^`]+)`", sentences)
    plain = (re.sub(r"^(sudo )?(\.venv/bin/)?", "", one.partition("#")[0].strip()) for one in found)
    return {one for one in plain if re.match(r"(make|echo-agent|echo-model)\b ?", one)}


def targets_of(makefile: Path) -> set[str]:
    """Return the names of the Makefile's targets."""
    return set(re.findall(r"^([a-z][a-z-]*):", makefile.read_text(encoding="utf-8"), re.MULTILINE))


def fault_of(words: list[str]) -> str:
    """Return what is wrong with a command line of one of our programs, or an empty string."""
    command, rest = get_command(PROGRAMS[words[0]]), words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"there is no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    unknown = [one for one in rest if one.startswith("-") and one.partition("=")[0] not in options]
    return f"there is no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_the_page_exists(repository: Path, name: str) -> None:
    """Targets of the Makefile, the options passed with `ARGS`, and commands of both programs exist."""
    shown = commands_of(repository / name)
    targets, faults = targets_of(repository / "Makefile"), {}
    for line in shown:
        words = shlex.split(line)
        if words[0] == "make" and len(words) > 1:
            target, *variables = words[1:]
            arguments = [one.removeprefix("ARGS=") for one in variables if one.startswith("ARGS=")]
            faults[line] = "" if target in targets else f"there is no target {target}"
            if target == "demo" and arguments:
                faults[line] = fault_of(["echo-agent", "demo", *shlex.split(arguments[0])])
        elif words[0] in PROGRAMS:
            faults[line] = fault_of([one for one in words if not PLACEHOLDER.fullmatch(one)])
    assert {line: fault for line, fault in faults.items() if fault} == {}
    assert len(shown) > 3


def test_commands_that_are_not_there_are_found() -> None:
    """The test above would detect a command or an option that was renamed."""
    assert fault_of(["echo-agent", "demo", "--studies", "3"]) == ""
    assert fault_of(["echo-agent", "queue", "lst"]) == "there is no command lst"
    assert fault_of(["echo-agent", "demo", "--patients", "3"]) == "there is no option --patients"


def test_make_knows_every_target_of_its_own_help(repository: Path) -> None:
    """`make -n` runs nothing and fails for a target that does not exist."""
    helped = re.findall(r"^([a-z-]+):.*## ", (repository / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"setup", "demo", "test", "check", "serve", "install"} <= {*helped}
    done = subprocess.run(
        ["make", "-n", *helped],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, "echo-agent demo" in done.stdout) == (0, True), done.stderr


def test_configuration_of_the_readme_is_right(repository: Path, tmp_path: Path) -> None:
    """The lines that a new user copies into config.yaml pass `echo-agent config check`."""
    blocks = [block for language, block in fenced(repository / "README.md") if language == "yaml"]
    assert blocks
    for block in blocks:
        values = yaml.safe_load(block)
        assert values["listener"]["allow"]
        path = tmp_path / "config.yaml"
        path.write_text(block, encoding="utf-8")
        path.chmod(0o600)
        check(path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_answers(program: str) -> None:
    """`--help` is the first command that a new user types."""
    done = CliRunner().invoke(PROGRAMS[program], ["--help"])
    assert (done.exit_code, "Usage" in done.output) == (0, True)
