"""The same image as dcmtk writes it in other transfer syntaxes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from agent.objects.same_image import same_image
from tests.support.films import chest_film


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with a code and an order, in explicit little endian."""
    view, order = Dataset(), Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "postero-anterior"
    order.RequestedProcedureID, order.AccessionNumber = "R1", "A1"
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    made = chest_film(ViewCodeSequence=[view], RequestAttributesSequence=[order])
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("command", "same"),
    [
        ("dcmconv +ti", True),
        ("dcmconv +tb", True),
        ("dcmconv +td", True),
        ("dcmconv +te -e", True),
        ("dcmconv +te +g +p 2048 512", True),
        ("dcmcrle", True),
        ("dcmcjpeg +e1", True),
        ("dcmcjpeg +el", True),
        ("dcmcjpls", True),
        ("dcmcjpls +en", False),
    ],
)
def test_image_in_another_transfer_syntax_is_the_same(
    film: Path, tmp_path: Path, program: Callable[[str], str], command: str, same: bool
) -> None:
    """A lossless conversion does not change the content; a lossy one does."""
    tool, *options = command.split()
    made = tmp_path / "made.dcm"
    subprocess.run([program(tool), *options, str(film), str(made)], check=True, capture_output=True)
    assert (same_image(film, made), same_image(made, film)) == (same, same)
