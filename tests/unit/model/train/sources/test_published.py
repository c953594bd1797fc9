"""Readers of published data sets, on small files of the same layout that are made here."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    """XML with labelled sections; the images by their identifiers; a report of blanks is left out."""
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
    """One row an image, one line a study; images as PNG below PNG/."""
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


def test_padchest_is_spanish_and_sixteen_bits(tmp_path: Path) -> None:
    """Rib views are no chest films; a lateral is L; the report without sections is findings."""
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


@pytest.mark.parametrize("read", [read_mimic, read_openi, read_chexpert_plus, read_padchest])
def test_another_folder_is_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """The message names what should lie there."""
    with pytest.raises(SourceError, match="holds no"):
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
    """Known headings only; what trains nothing is left out; no heading at all is findings."""
    assert expected == split_report(text)
