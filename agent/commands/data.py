"""`echo-agent data`: training data from DICOM files and from the studies that radiologists have verified."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import ClearErrors, ConfigOption, database_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.commands.data_files import SkippedFiles
    from model.train.sources.study import SourceStudy

data_app = typer.Typer(
    cls=ClearErrors, no_args_is_help=True, help="Training data through the serving pixel path."
)

_Output = Annotated[Path, typer.Option("--output", help="The data file; images go to a folder next to it.")]


@data_app.command("dicom")
def dicom(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="DICOM files.")],
    reports: Annotated[Path, typer.Option("--reports", help="CSV: study_instance_uid and text.")],
    output: _Output,
) -> None:
    """Write the studies in a folder, with the reports in a table, as a data file for training."""
    from agent.commands.data_files import SkippedFiles, studies_of_folder
    from agent.commands.data_reports import read_reports
    from agent.foundation.log import silence_libraries

    silence_libraries()
    skipped = SkippedFiles(files=Counter())
    known = read_reports(reports)
    _write(studies_of_folder(folder, known, _images(output), skipped), output, skipped)


@data_app.command("verified")
def verified(output: _Output, config: ConfigOption = None) -> None:
    """Write the studies that radiologists have verified, with the text that they signed."""
    from agent.commands.data_files import SkippedFiles, verified_studies
    from agent.foundation.log import silence_libraries
    from agent.service.wiring import open_store

    silence_libraries()
    settings = settings_of(config)
    database = database_of(settings)
    skipped = SkippedFiles(files=Counter())
    try:
        studies = verified_studies(database, open_store(settings), _images(output), skipped)
        _write(studies, output, skipped)
    finally:
        database.close()


def _images(output: Path) -> Path:
    return output.parent / f"{output.stem}-images"


def _write(studies: Iterator[SourceStudy], output: Path, skipped: SkippedFiles) -> None:
    from model.train.sources.study import write_lines

    written = write_lines(studies, output)
    print(f"{output}: {written.studies} studies")
    for reason, count in sorted((written.left_out + skipped.files).items()):
        print(f"  left out: {count} ({reason})")
