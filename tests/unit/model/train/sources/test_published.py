"""Readers of published data sets, tested on small generated files of the same layout."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from model.commands.cli import app
from model.train.sources.published import read_chexpert_plus, read_mimic, read_openi, read_padchest
from model.train.sources.sections import split_report
from model.train.sources.study import SourceError, write_lines


def _image(path: Path, kind: type[np.uint8] | type[np.uint16] = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=kind).reshape(8, 8)).save(path)


def _table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_openi_reads_sections_and_images(tmp_path: Path) -> None:
    """XML with labelled sections; images are found by their identifiers; a blank report is left out."""
    folder = tmp_path / "ecgen-radiology"
    folder.mkdir()
    for number, findings in ((1, "Clear lungs."), (2, " ")):
        (folder / f"{number}.xml").write_text(
            f"<e><AbstractText Label='COMPARISON'>None.</AbstractText><AbstractText Label='INDICATION'>Cough"
            f"</AbstractText><AbstractText Label='FINDINGS'>{findings}</AbstractText>"
            f"<AbstractText Label='IMPRESSION'/><parentImage id='CXR{number}_1'/></e>"
        )
        _image(tmp_path / "NLMCXR_png" / f"CXR{number}_1.png")

    written = write_lines(read_openi(tmp_path), tmp_path / "out.jsonl")
    line = json.loads((tmp_path / "out.jsonl").read_text())

    assert (written.studies, dict(written.left_out)) == (1, {"no report": 1})
    assert line["images"] == ["NLMCXR_png/CXR1_1.png"]
    assert (line["findings"], line["indication"], line["comparison"]) == ("Clear lungs.", "Cough", "None.")


def test_chexpert_plus_joins_the_views_of_a_study(tmp_path: Path) -> None:
    """The table has one row per image; the result is one line per study, with images as PNG below PNG/."""
    rows = [
        {
            "path_to_image": f"train/patient1/study2/view{n}_{view.lower()}.jpg",
            "frontal_lateral": view,
            "deid_patient_id": "patient1",
            "patient_report_date_order": "2.0",
            "section_findings": "Small\n effusion.",
            "section_impression": "",
            "section_clinical_history": "",
            "section_comparison": "",
            "split": "train",
        }
        for n, view in ((1, "Frontal"), (2, "Lateral"))
    ]
    _table(tmp_path / "df_chexpert_plus_240401.csv", rows)
    for row in rows:
        _image(tmp_path / "PNG" / Path(row["path_to_image"]).with_suffix(".png"))

    (study,) = read_chexpert_plus(tmp_path)

    assert (study.id, study.views) == ("train/patient1/study2", ("frontal", "lateral"))
    assert study.findings == "Small effusion."
    assert all(image.is_file() for image in study.images)


_HEADER = (
    "path_to_image,frontal_lateral,deid_patient_id,patient_report_date_order,section_findings,"
    "section_impression,section_clinical_history,section_comparison,split\n"
)
_ROW = "train/p1/s1/v.jpg,Frontal,p1,1,Clear lungs.,Normal.,,,train\n"


def _chexpert(folder: Path, content: bytes, name: str = "df_chexpert_plus_240401.csv") -> Path:
    _image(folder / "PNG" / "train" / "p1" / "s1" / "v.png")
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_are_read_with_and_without_mark_zipped_or_not(
    tmp_path: Path, encoding: str, newline: str, zipped: bool
) -> None:
    """A byte order mark, another newline or gzip does not change what is read from a table."""
    content = (_HEADER + _ROW).replace("\n", newline).encode(encoding)
    name = "df_chexpert_plus_240401.csv" + (".gz" if zipped else "")
    folder = _chexpert(tmp_path, gzip.compress(content) if zipped else content, name)

    (study,) = read_chexpert_plus(folder)

    assert (study.findings, study.impression) == ("Clear lungs.", "Normal.")


def _damaged_gzip() -> bytes:
    packed = bytearray(gzip.compress((_HEADER + _ROW).encode()))
    packed[40] ^= 255
    return bytes(packed)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ((_HEADER + _ROW.replace("Clear", "Cl\xe4r")).encode("latin-1"), ".csv", "UnicodeDecodeError"),
        ((_HEADER + _ROW).encode("utf-16"), ".csv", "UnicodeDecodeError"),
        (_damaged_gzip(), ".csv.gz", "cannot be read"),
        (gzip.compress((_HEADER + _ROW).encode())[:50], ".csv.gz", "EOFError"),
        ((_HEADER + _ROW).encode(), ".csv.gz", "BadGzipFile"),
        (
            (_HEADER + _ROW.replace("lungs.", "lungs, heart.")).encode(),
            ".csv",
            "line 2 does not have the 9 fields",
        ),
        (
            (_HEADER + _ROW.replace("Clear", '"Clear') + _ROW).encode(),
            ".csv",
            "line 3 does not have the 9 fields",
        ),
        ((_HEADER + "train/p1/s1/v.jpg,Frontal\n").encode(), ".csv", "line 2 does not have the 9 fields"),
        (
            (_HEADER + _ROW.replace("Clear", "x" * 1_000_001)).encode(),
            ".csv",
            "field larger than field limit",
        ),
    ],
)
def test_a_damaged_table_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, name: str, said: str
) -> None:
    """If the columns cannot be told apart, nothing is read into the wrong column."""
    folder = _chexpert(tmp_path, content, "df_chexpert_plus_240401" + name)

    with pytest.raises(SourceError, match=said):
        list(read_chexpert_plus(folder))


@pytest.mark.parametrize("path", ["", "train/p1/s0/" + "v" * 300 + ".jpg", "train/p1/s0/v\0.jpg", "/"])
def test_a_path_that_names_no_file_leaves_its_study_out(tmp_path: Path, path: str) -> None:
    """An empty path, or one that no file system accepts, is counted and does not end the reading."""
    row = _ROW.replace("train/p1/s1/v.jpg", path)
    folder = _chexpert(tmp_path, (_HEADER + row + _ROW.replace(",1,", ",2,")).encode())

    written = write_lines(read_chexpert_plus(folder), folder / "out.jsonl", priors=1)

    assert (written.studies, dict(written.left_out)) == (1, {"an image file is not there": 1})


@pytest.mark.parametrize("encoding", ["utf-99", "utf-7", "big5", "hex"])
def test_an_encoding_that_the_parser_lacks_is_a_source_error(tmp_path: Path, encoding: str) -> None:
    """XML may declare any encoding; a file whose encoding is not supported is named in the error."""
    folder = tmp_path / "ecgen-radiology"
    folder.mkdir()
    (folder / "1.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><e/>')

    with pytest.raises(SourceError, match=r"1\.xml cannot be read as XML"):
        list(read_openi(tmp_path))


def test_data_that_yields_no_study_exits_with_one(tmp_path: Path) -> None:
    """An empty data file is not a success."""
    folder = _chexpert(tmp_path, _HEADER.encode())

    found = CliRunner().invoke(
        app, ["data", "chexpert-plus", str(folder), "--output", str(tmp_path / "o.jsonl")]
    )

    assert (found.exit_code, "0 studies" in found.output) == (1, True)


def test_padchest_is_spanish_and_sixteen_bits(tmp_path: Path) -> None:
    """Rib views are not chest films; L is a lateral; a report without sections is read as findings."""
    row = {"StudyDate_DICOM": "20140915", "StudyID": "s1", "PatientID": "p1", "Report": "sin derrame ."}
    rows = [
        {"ImageID": f"{n}.png", "ImageDir": "0", "Projection": projection, **row}
        for n, projection in enumerate(("PA", "L", "COSTAL"))
    ]
    _table(tmp_path / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", rows)
    for n in range(3):
        _image(tmp_path / "0" / f"{n}.png", np.uint16)

    (study,) = read_padchest(tmp_path)

    assert (study.views, study.language, study.findings) == (("frontal", "lateral"), "es", "sin derrame .")


@pytest.mark.parametrize(
    ("read", "missing"),
    [
        (read_mimic, "mimic-cxr-2*-split.csv*"),
        (read_openi, "folder ecgen-radiology"),
        (read_chexpert_plus, "df_chexpert_plus*.csv*"),
        (read_padchest, "PADCHEST_*.csv*"),
    ],
)
def test_another_folder_is_refused(tmp_path: Path, read: Callable[[Path], object], missing: str) -> None:
    """The message names the folder and what should be there."""
    with pytest.raises(SourceError, match=re.escape(f"{tmp_path} holds no {missing}")):
        list(read(tmp_path))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FINDINGS: a\n b.\nIMPRESSION:\n c.", {"findings": "a b.", "impression": "c."}),
        ("FINAL REPORT\nEXAM: x\nINDICATION: y\nConclusion: z", {"indication": "y", "impression": "z"}),
        ("The lungs are clear.", {"findings": "The lungs are clear."}),
        ("HISTORY: cough\nCOMPARISON: none\nFINDINGS: f\nRECOMMENDATION: CT",
         {"indication": "cough", "comparison": "none", "findings": "f"}),
        ("  ", {}),
    ],
)  # fmt: skip
def test_reports_are_cut_at_their_headings(text: str, expected: dict[str, str]) -> None:
    """Only known headings count; unused sections are left out; text without a heading is read as findings."""
    assert expected == split_report(text)
