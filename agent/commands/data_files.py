"""Training data from DICOM: through the pixel path used in serving, without identifying names or lines.

A study's files may be in a folder, with its report in a table, or in the agent's own store, with the text
that a radiologist has verified.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.tables import Draft, Instance, Study
from agent.foundation.errors import AgentError, UnreadableImage
from agent.objects.pixels import StudyImage, load_image
from agent.objects.store import InstanceStore
from agent.reports.material import indication_of
from dicom_sr import attributes
from model.train.sources.sections import split_report
from model.train.sources.study import SourceError, SourceStudy

_LONGEST_ID = 16  # characters of a digest that identifies a study or an image


@dataclass(slots=True, kw_only=True)
class SkippedFiles:
    """Files that gave no image, by reason; nothing from a file is named."""

    files: Counter[str]


def read_reports(table: Path) -> dict[str, dict[str, str]]:
    """The sections of each report, by Study Instance UID and by Accession Number.

    Raises:
        SourceError.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            if not columns & {"study_instance_uid", "accession_number"}:
                raise SourceError("the table of reports names no study")
            if "text" not in columns and not {"findings", "impression"} <= columns:
                raise SourceError("the table of reports has no text")
            return dict(_keyed(reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the table of reports cannot be read ({type(error).__name__})") from error


def _keyed(rows: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    for row in rows:
        sections = split_report(row["text"]) if row.get("text") else {}
        stated = {name: row[name].strip() for name in ("findings", "impression") if row.get(name)}
        for key in ("study_instance_uid", "accession_number"):
            if row.get(key):
                yield row[key].strip(), sections | stated


def studies_of_folder(
    folder: Path, reports: Mapping[str, dict[str, str]], images: Path, skipped: SkippedFiles
) -> Iterator[SourceStudy]:
    """The studies in a folder whose report is known; writes their images as PNG to `images`."""
    groups: dict[str, list[StudyImage]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        try:
            found = load_image(path)
        except UnreadableImage as error:
            skipped.files[str(error)] += 1  # its text is ours
            continue
        groups.setdefault(attributes.text(found.header, "StudyInstanceUID"), []).append(found)
    for uid, group in groups.items():
        header = group[0].header
        sections = reports.get(uid) or reports.get(attributes.text(header, "AccessionNumber"))
        if not uid or sections is None:
            skipped.files["no report"] += len(group)
            continue
        yield _study(uid, group, sections, images)


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
