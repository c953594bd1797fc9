"""Running the external checkers: missing, slow, failing, and their output."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_sr import external
from dicom_sr.errors import ToolFailedError, ToolMissingError, ToolTimeoutError


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole search path, for programs written by the tests."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def write_program(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_missing_program_is_named_with_its_package(tool: Path) -> None:
    """The error says what to install."""
    assert not external.is_installed("dciodvfy")
    with pytest.raises(ToolMissingError, match="dicom3tools"):
        external.dciodvfy(tool / "x.dcm")


def test_errors_and_warnings_are_told_apart(tool: Path) -> None:
    """Only Error lines count as errors."""
    write_program(
        tool, "dciodvfy", "echo 'Warning - a' >&2; echo 'Error - b' >&2; echo BasicTextSR >&2; exit 1"
    )
    assert external.is_installed("dciodvfy")
    report = external.dciodvfy(tool / "x.dcm")
    assert (report.errors, report.warnings) == (("Error - b",), ("Warning - a",))


def test_renderer_that_fails_raises_with_its_words(tool: Path) -> None:
    """The error message includes the output of dcmtk."""
    write_program(tool, "dsr2html", "echo 'cannot parse' >&2; exit 2")
    with pytest.raises(ToolFailedError, match="cannot parse"):
        external.dsr2html(tool / "x.dcm")


def test_renderer_gives_its_output(tool: Path) -> None:
    """The page is returned as printed, in UTF-8."""
    write_program(tool, "dsrdump", "echo 'Röntgen'")
    assert external.dsrdump(tool / "x.dcm") == "Röntgen\n"


def test_program_that_hangs_is_ended(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file must not block the caller."""
    monkeypatch.setattr(external, "TIMEOUT_SECONDS", 0.2)
    write_program(tool, "dsrdump", "exec /bin/sleep 5")
    with pytest.raises(ToolTimeoutError):
        external.dsrdump(tool / "x.dcm")
