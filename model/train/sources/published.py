"""Readers for published data sets in the layout in which they are distributed.

MIMIC-CXR-JPG 2.x (PhysioNet) with the reports of MIMIC-CXR; Open-i's Indiana University collection;
CheXpert Plus (Stanford AIMI); PadChest (BIMCV). None of their data is part of this project: the tests make
small files of the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os.path import isfile  # False if Path.is_file raises: a name that no file system accepts
from pathlib import Path
from xml.etree import ElementTree

from model.train.sources.sections import split_report
from model.train.sources.study import SourceError, SourceStudy
from model.train.sources.tables import rows_of, the_file

_FRONTAL, _LATERAL = (
    frozenset({"PA", "AP", "AP AXIAL", "PA LLD", "AP LLD", "AP RLD"}),
    frozenset({"LATERAL", "LL", "L"}),
)


def read_mimic(folder: Path) -> Iterator[SourceStudy]:
    """MIMIC-CXR-JPG; reports in `files/pXX/pID/sID.txt` beside the images, or in `reports/`."""
    splits = {
        row["dicom_id"]: row["split"]
        for row in rows_of(the_file(folder, "mimic-cxr-2*-split.csv*"), ("dicom_id", "split"))
    }
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime")
    studies: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(the_file(folder, "mimic-cxr-2*-metadata.csv*"), columns):
        studies.setdefault(row["study_id"], []).append(row)
    for study, images in studies.items():
        first = images[0]
        patient = first["subject_id"]
        place = Path("files") / f"p{patient[:2]}" / f"p{patient}"
        report = next(
            (
                p
                for p in (folder / place / f"s{study}.txt", folder / "reports" / place / f"s{study}.txt")
                if isfile(p)
            ),
            None,
        )
        sections = split_report(report.read_text(encoding="utf-8", errors="replace")) if report else {}
        time = first["StudyTime"].partition(".")[0].zfill(6)
        yield _study(
            f"s{study}",
            [folder / place / f"s{study}" / f"{row['dicom_id']}.jpg" for row in images],
            [_view(row["ViewPosition"]) for row in images],
            sections,
            split={"validate": "validate", "test": "test"}.get(splits.get(first["dicom_id"], ""), "train"),
            patient=patient,
            order=first["StudyDate"] + time,
        )


def read_openi(folder: Path) -> Iterator[SourceStudy]:
    """Open-i: `ecgen-radiology/*.xml` and `NLMCXR_png/*.png`; the views are not stated."""
    reports = next(
        (folder / n for n in ("ecgen-radiology", "NLMCXR_reports/ecgen-radiology") if (folder / n).is_dir()),
        None,
    )
    if reports is None:
        raise SourceError(f"{folder} holds no folder ecgen-radiology; unpack NLMCXR_reports.tgz there")
    pictures = next((folder / n for n in ("NLMCXR_png", "images") if (folder / n).is_dir()), folder)
    for file in sorted(reports.glob("*.xml"), key=lambda path: (len(path.stem), path.stem)):
        try:
            root = ElementTree.parse(file).getroot()
        except (ElementTree.ParseError, LookupError, ValueError, OSError) as error:
            # LookupError, ValueError: an encoding that Python or its XML parser lacks
            raise SourceError(f"{file} cannot be read as XML ({error})") from error
        sections = {
            str(part.get("Label", "")).lower(): " ".join((part.text or "").split())
            for part in root.iter("AbstractText")
        }
        images = [pictures / f"{image.get('id')}.png" for image in root.iter("parentImage")]
        yield _study(f"CXR{file.stem}", images, ["unknown"] * len(images), sections, patient=file.stem)


def read_chexpert_plus(folder: Path) -> Iterator[SourceStudy]:
    """CheXpert Plus: `df_chexpert_plus_*.csv`, images as PNG in `PNG/`, or as named in the table."""
    columns = (
        "path_to_image", "frontal_lateral", "deid_patient_id", "patient_report_date_order",
        "section_findings", "section_impression", "section_clinical_history", "section_comparison", "split",
    )  # fmt: skip
    studies: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(the_file(folder, "df_chexpert_plus*.csv*"), columns):
        studies.setdefault(str(Path(row["path_to_image"]).parent), []).append(row)
    for place, rows in studies.items():
        first = rows[0]
        sections = {
            "findings": first["section_findings"],
            "impression": first["section_impression"],
            "indication": first["section_clinical_history"],
            "comparison": first["section_comparison"],
        }
        yield _study(
            place,
            [_chexpert_image(folder, Path(row["path_to_image"])) for row in rows],
            [row["frontal_lateral"].lower() for row in rows],
            {name: " ".join(text.split()) for name, text in sections.items()},
            split="validate" if first["split"].startswith("val") else first["split"],
            patient=first["deid_patient_id"],
            order=first["patient_report_date_order"].partition(".")[0].zfill(6),
        )


def _chexpert_image(folder: Path, path: Path) -> Path:
    if not path.name:
        return folder
    for candidate in (folder / "PNG" / path.with_suffix(".png"), folder / path.with_suffix(".png")):
        if isfile(candidate):
            return candidate
    return folder / path


def read_padchest(folder: Path) -> Iterator[SourceStudy]:
    """PadChest: the table of 160K images; PNG of 16 bits in `ImageDir/ImageID`. Reports are Spanish, without
    sections: they become findings."""
    columns = ("ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "Projection", "Report")
    studies: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(the_file(folder, "PADCHEST_*.csv*"), columns):
        if row["Projection"].upper() not in ("COSTAL", "EXCLUDE"):
            studies.setdefault(row["StudyID"], []).append(row)
    for study, rows in studies.items():
        first = rows[0]
        images = [folder / row["ImageDir"] / row["ImageID"] for row in rows]
        flat = [image if isfile(image) else folder / image.name for image in images]
        yield _study(
            study,
            flat,
            [_view(row["Projection"].replace("_horizontal", "")) for row in rows],
            {"findings": " ".join(first["Report"].split())},
            patient=first["PatientID"],
            order=first["StudyDate_DICOM"].partition(".")[0],
            language="es",
        )


READERS: dict[str, Callable[[Path], Iterator[SourceStudy]]] = {
    "mimic-cxr": read_mimic,
    "open-i": read_openi,
    "chexpert-plus": read_chexpert_plus,
    "padchest": read_padchest,
}


def _view(position: str) -> str:
    code = position.strip().upper()
    if code in _FRONTAL:
        return "frontal"
    return "lateral" if code in _LATERAL else "unknown"


def _study(
    identifier: str,
    images: list[Path],
    views: list[str],
    sections: dict[str, str],
    *,
    split: str = "",
    patient: str = "",
    order: str = "",
    language: str = "en",
) -> SourceStudy:
    return SourceStudy(
        id=identifier,
        images=tuple(images),
        views=tuple(view if view in ("frontal", "lateral") else "unknown" for view in views),
        findings=sections.get("findings", ""),
        impression=sections.get("impression", ""),
        indication=sections.get("indication", ""),
        comparison=sections.get("comparison", ""),
        language=language,
        split=split,
        patient=patient,
        order=order,
    )
