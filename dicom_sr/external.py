"""External programs that validate and render our documents: dciodvfy, dsrdump, dsr2html.

They are Debian's `dicom3tools` and `dcmtk`. The gate in `validate` needs none of them; tests and `echo-agent
sr validate` use them if they are installed.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dicom_sr.errors import ToolFailedError, ToolMissingError, ToolTimeoutError

TIMEOUT_SECONDS = 30.0
_PACKAGE = {"dciodvfy": "dicom3tools", "dsrdump": "dcmtk", "dsr2html": "dcmtk"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReport:
    """A checker's result for a file: its errors and warnings, one line each."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def is_installed(tool: str) -> bool:
    """Whether the program is on PATH."""
    return shutil.which(tool) is not None


def dciodvfy(path: Path) -> ToolReport:
    """Check a file against its Information Object Definition.

    Raises:
        ToolMissingError: not installed.
        ToolTimeoutError: it timed out.
    """
    lines = _run("dciodvfy", path).stderr.splitlines()
    return ToolReport(
        errors=tuple(line for line in lines if line.startswith("Error")),
        warnings=tuple(line for line in lines if line.startswith("Warning")),
    )


def dsrdump(path: Path) -> str:
    """The document as dcmtk's indented text, long values in full.

    Raises:
        ToolMissingError, ToolTimeoutError: as for `dciodvfy`.
        ToolFailedError: dcmtk cannot read the document.
    """
    return _rendered("dsrdump", path, "--print-long-values")


def dsr2html(path: Path) -> str:
    """The document as dcmtk's HTML page, in UTF-8.

    Raises:
        ToolMissingError, ToolTimeoutError, ToolFailedError: as for `dsrdump`.
    """
    return _rendered("dsr2html", path)


def _rendered(tool: str, path: Path, *options: str) -> str:
    done = _run(tool, path, *options)
    if done.returncode != 0:
        raise ToolFailedError(f"{tool} cannot read the document: {done.stderr.strip()[-300:]}")
    return done.stdout


def _run(tool: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(tool)
    if program is None:
        raise ToolMissingError(f"{tool} is not installed: install the Debian package {_PACKAGE[tool]}")
    try:
        return subprocess.run(
            [program, *options, str(path)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolTimeoutError(f"{tool} did not end within {TIMEOUT_SECONDS:g} s") from None
