"""Training data from DICOM: through the pixel path used in serving, without identifying names or lines.

A study's files may be in a folder, with its report in a table, or in the agent's own store, with the text
that a radiologist has verified.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.commands.data_reports import KnownReport, KnownReports
from agent.database.session import Database
from agent.database.tables import Draft, Instance, Study
from agent.foundation.errors import AgentError, UnreadableImage
from agent.objects.pixels import StudyImage, load_image
from agent.objects.store import InstanceStore
from agent.reports.material import indication_of
from dicom_sr import attributes
from model.train.sources.sections import split_report
from model.train.sources.study import SourceStudy

_LONGEST_ID = 16  # characters of a digest that identifies a study or an image


@dataclass(slots=True, kw_only=True)
class SkippedFiles:
    """Files that gave no image, by reason; nothing from a file is named."""

    files: Counter[str]


def studies_of_folder(
    folder: Path, reports: KnownReports, images: Path, skipped: SkippedFiles
) -> Iterator[SourceStudy]:
    """The studies in a folder whose report is known; writes their images as PNG to `images`."""
    groups: dict[str, list[StudyImage]] = {}
    patients: dict[str, set[str]] = {}  # by accession number
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        try:
            found = load_image(path)
        except UnreadableImage as error:
            skipped.files[str(error)] += 1  # its text is ours
            continue
        groups.setdefault(attributes.text(found.header, "StudyInstanceUID"), []).append(found)
        accession = attributes.text(found.header, "AccessionNumber")
        patients.setdefault(accession, set()).add(attributes.text(found.header, "PatientID"))
    shared = {accession for accession, named in patients.items() if len(named) > 1}
    for uid, group in groups.items():
        report = _report(uid, group, reports, shared)
        if isinstance(report, str):
            skipped.files[report] += len(group)
            continue
        yield _study(uid, group, report.sections, images)


def _report(
    uid: str, group: Sequence[StudyImage], reports: KnownReports, shared: Collection[str]
) -> KnownReport | str:
    """Return a study's report, or why it has none: another patient's report would be learnt as its truth.

    shared: the accession numbers under which the folder has several patients.
    """
    named = {attributes.text(one.header, "PatientID") for one in group}
    if len(named) > 1:
        return "the images of the study name several patient IDs"
    report = reports.of_studies.get(uid)
    if report is None:
        # A study may state its number in some of its images only.
        stated = {attributes.text(one.header, "AccessionNumber") for one in group} - {""}
        if len(stated) > 1:
            return "no report under the study's UID, and its images name several accession numbers"
        (accession,) = stated or {""}
        report = reports.of_accessions.get(accession)
        if report is not None and accession in shared:
            return "images of several patient IDs have the accession number; name the study in the table"
    if not uid or report is None:
        return "no report"
    if report.patient_id and report.patient_id not in named:
        return "the table names another patient ID"
    return report


def verified_studies(
    database: Database, store: InstanceStore, images: Path, skipped: SkippedFiles
) -> Iterator[SourceStudy]:
    """The studies whose newest draft has been verified, with the text that was signed."""
    with database.reading() as session:
        query = select(Draft, Study).join(Study, Draft.study_id == Study.id).order_by(Draft.id)
        newest = {study.id: (draft, study) for draft, study in session.execute(query)}
        kept = [
            (study.study_instance_uid, draft.text, _contents(session, study.id))
            for draft, study in newest.values()
            if draft.outcome == "verified"
        ]
    for uid, text, contents in kept:
        group = []
        for sha256 in contents:
            try:
                group.append(load_image(store.open(sha256)))
            except AgentError as error:  # purged, or damaged since it was drafted
                skipped.files[error.code] += 1
        if group:
            yield _study(uid, group, split_report(_on_lines(text)), images)


def _contents(session: Session, study_id: int) -> list[str]:
    query = select(Instance.sha256).where(
        Instance.study_id == study_id, Instance.purged_at.is_(None), Instance.skipped_by.is_(None)
    )
    return list(dict.fromkeys(session.scalars(query.order_by(Instance.id))))


def _on_lines(text: str) -> str:
    """A draft has its two headings on one line; in a report each begins a line."""
    return text.replace("Impression:", "\nImpression:").replace("Findings:", "\nFindings:")


def _study(uid: str, group: Sequence[StudyImage], sections: Mapping[str, str], images: Path) -> SourceStudy:
    headers: list[Dataset] = [one.header for one in group]
    images.mkdir(parents=True, exist_ok=True)
    paths = []
    for one in group:
        path = images / f"{_digest(attributes.text(one.header, 'SOPInstanceUID'))}.png"
        Image.fromarray(one.pixels).save(path)
        paths.append(path)
    return SourceStudy(
        id=_digest(uid),
        images=tuple(paths),
        views=tuple(one.view for one in group),
        findings=sections.get("findings", ""),
        impression=sections.get("impression", ""),
        indication=sections.get("indication", "") or indication_of(headers),
        comparison=sections.get("comparison", ""),
    )


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:_LONGEST_ID]
