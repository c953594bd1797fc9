"""Commands for Structured Reports: check them, and print them in a readable form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydicom import Dataset


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="DICOM SR files.", show_default=False
        ),
    ],
) -> None:
    """Check SR files with our own rules, and with dciodvfy if it is installed. Exit status 1: errors."""
    from dicom_sr import external
    from dicom_sr.validate import validate as problems_of

    with_dciodvfy = external.is_installed("dciodvfy")
    failed = False
    for path in files:
        lines = [f"{one.code}: {one.where} {one.text}" for one in problems_of(path.read_bytes())]
        if with_dciodvfy:
            lines.extend(f"dciodvfy: {line}" for line in external.dciodvfy(path).errors)
        failed = failed or bool(lines)
        print(f"{path}: {'right' if not lines else f'{len(lines)} problems'}")
        for line in lines:
            print(f"  {line}")
    if not with_dciodvfy:
        print("dciodvfy is not installed (Debian package dicom3tools): only our own rules were applied")
    if failed:
        raise typer.Exit(1)


def show(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A DICOM SR file.")
    ],
) -> None:
    """Print any Structured Report as a tree."""
    from dicom_sr.independent import measured
    from dicom_sr.outline import outline

    document = _read(file)
    print(outline(document))
    if lines := measured(document):
        print("\nMeasurement groups, as highdicom reads them")
        for line in lines:
            print(f"  {line}")


def _read(path: Path) -> Dataset:
    from pydicom.errors import InvalidDicomError

    from agent.foundation.errors import UnreadableInstance
    from agent.objects.guarded_read import read_whole
    from dicom_sr.errors import NotStructuredReportError

    try:
        return read_whole(path)
    except UnreadableInstance as error:
        raise NotStructuredReportError(f"{path}: {error}") from error
    except (InvalidDicomError, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise NotStructuredReportError(f"{path} is not a DICOM file that can be read") from error
