"""Structured Reports: the gate, and a readable form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[
    list[Path],
    typer.Argument(exists=True, dir_okay=False, readable=True, help="DICOM SR files.", show_default=False),
]


def validate(files: Files) -> None:
    """Check SR files: our own rules, and dciodvfy where it is installed. Exit status 1 on any error."""
    from dicom_sr.validate import validate as problems_of

    failed = False
    for path in files:
        problems = problems_of(path.read_bytes())
        failed = failed or bool(problems)
        print(f"{path}: {'right' if not problems else f'{len(problems)} problems'}")
        for problem in problems:
            print(f"  {problem}")
    if failed:
        raise typer.Exit(1)


def show(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A DICOM SR file.")
    ],
) -> None:
    """Print any Structured Report as a tree."""
    from dicom_sr.read import outline_file

    print(outline_file(file))
