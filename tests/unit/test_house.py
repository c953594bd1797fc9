"""The project's own rules on size and order, which no linter checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("agent", "model", "dicom_sr", "migrations", "benchmarks")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
UNFINISHED = re.compile(r"\b(TODO|FIXME|raise NotImplementedError)\b")


def sources(repository: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every source file of the project."""
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            yield str(path.relative_to(repository)), path.read_text(encoding="utf-8")


def test_files_are_short(repository: Path) -> None:
    """A file beyond the limit does more than its name says."""
    long = {name: text.count("\n") for name, text in sources(repository)}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short(repository: Path) -> None:
    """A function fits on one screen."""
    long = []
    for name, text in sources(repository):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{name}:{node.lineno} {node.name} ({lines})")
    assert long == []


def test_modules_say_what_they_are_for(repository: Path) -> None:
    """Every module that holds code has a docstring."""
    silent = [
        name for name, text in sources(repository) if text.strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_nothing_is_left_unfinished(repository: Path) -> None:
    """There is no marker of unfinished work."""
    assert [name for name, text in sources(repository) if UNFINISHED.search(text)] == []
