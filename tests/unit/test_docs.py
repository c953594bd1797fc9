"""Every command, state and error code is in the documents, and their links lead to existing files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from agent.commands.cli import app
from agent.database.states import DeliveryState, JobState
from agent.foundation import errors

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def documents(repository: Path) -> dict[str, str]:
    """Return every page with its path."""
    paths = [repository / name for name in PAGES] + sorted((repository / "docs").glob("*.md"))
    return {str(path.relative_to(repository)): path.read_text(encoding="utf-8") for path in paths}


def error_classes(root: type[errors.AgentError]) -> Iterator[type[errors.AgentError]]:
    """Yield an exception class and all its subclasses."""
    yield root
    for derived in root.__subclasses__():
        yield from error_classes(derived)


def commands() -> Iterator[str]:
    """Yield every command of `echo-agent`, as it is typed."""
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name
        else:
            yield from (f"{name} {one}" for one in inner)


def test_every_error_code_is_in_operations(repository: Path) -> None:
    """The remedy for every error code can be looked up."""
    text = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    codes = {one.code for one in error_classes(errors.AgentError)}
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_every_state_is_in_the_glossary(repository: Path) -> None:
    """States are explained in words."""
    text = (repository / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert {state for state in (*JobState, *DeliveryState) if f"`{state}`" not in text} == set()


def test_every_command_is_in_the_documents(repository: Path) -> None:
    """Every command can be found in a document."""
    text = " ".join(documents(repository).values())
    # An example may have options between a command's words; the words themselves must appear in order.
    assert {one for one in commands() if not re.search(rf"\b{one}\b", text)} == set()


def test_every_link_leads_to_a_file(repository: Path) -> None:
    """No link leads to a page or a picture that does not exist."""
    broken = []
    for page, text in documents(repository).items():
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if "://" not in target and not (repository / page).parent.joinpath(target).exists():
                broken.append(f"{page}: {target}")
    assert broken == []


def test_every_page_is_in_the_index(repository: Path) -> None:
    """Each page is listed in the README under a tutorial, a how-to guide, reference or discussion."""
    index = (repository / "README.md").read_text(encoding="utf-8").partition("\n## Read on\n")[2]
    kinds = re.findall(r"^\*\*([\w-]+)", index, re.MULTILINE)
    linked = set(re.findall(r"\]\(([^)#]+)", index))
    assert kinds == ["Tutorials", "How-to", "Reference", "Discussion"]
    assert documents(repository).keys() - {"README.md"} - linked == set()


def test_every_file_that_a_page_names_is_there(repository: Path) -> None:
    """Every file or folder of the repository that a page names exists; users may add to the results."""
    ours = "agent|model|dicom_sr|migrations|tests|benchmarks(?!/results/)|scripts|systemd|deploy"
    missing = {
        page: gone
        for page, text in documents(repository).items()
        for named in [set(re.findall(rf"`((?:{ours})/[\w/.-]*)`", text))]
        if (gone := {name for name in named if not (repository / name).exists()})
    }
    assert missing == {}


@pytest.mark.parametrize("package", ["agent", "model"])
def test_architecture_describes_every_room(repository: Path, package: str) -> None:
    """A new room gets a row in the table of rooms: what it does, and what it never does."""
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## The rooms")[2].partition("\n## ")[0]
    first_cells = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    described = set(re.findall(rf"`{package}/(\w+)/`", first_cells))
    rooms = {one.parent.name for one in (repository / package).glob("*/__init__.py")}
    assert described == rooms
    rows = [row.strip("| ").split("|") for row in table.splitlines() if re.match(rf"\| *`{package}/", row)]
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows), rows
