"""Document B as a PDF or an image, and its key images, for viewers that cannot show Structured Reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset

from agent.foundation.document_roles import VIEWS, DocumentRole
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.reports.publish import Record
from dicom_sr.sheet import Outcome

# By the word in `destinations[].documents`: the document that is sent, and the one that withdraws it.
TAKES_BACK: Mapping[DocumentRole, DocumentRole] = {
    DocumentRole.PDF: DocumentRole.WITHDRAWN_PDF,
    DocumentRole.CAPTURE: DocumentRole.WITHDRAWN_CAPTURE,
    DocumentRole.KEY_IMAGES: DocumentRole.WITHDRAWN_KEY_IMAGES,
}


def wanted_views(settings: Settings) -> dict[str, list[DocumentRole]]:
    """Return, for each variant of the documents, the views that some destination wants."""
    found: dict[str, list[DocumentRole]] = {}
    for role in VIEWS:
        for destination in settings.destinations:
            roles = found.setdefault(destination.findings_sop_class, [])
            if _wants(destination, role) and role not in roles:
                roles.append(role)
    return found


def _wants(destination: DestinationSettings, role: DocumentRole) -> bool:
    """Whether a destination is sent a view, or a message that contains it."""
    inside = role is DocumentRole.PDF and destination.hl7 is not None and destination.hl7.pdf
    return inside or role.value in destination.documents


def views_of(
    report: Dataset, roles: list[DocumentRole], outcome: Outcome, font: Path | None
) -> dict[DocumentRole, Dataset]:
    """Return the views of a document B; one that would show nothing is left out.

    Raises:
        StructuredReportError: one cannot be made.
    """
    if not roles:
        return {}
    # ReportLab, PDFium and highdicom take a second to load, which most services never need.
    from dicom_sr.key_images import build_key_images
    from dicom_sr.sheet_objects import build_pdf, build_picture

    builders: dict[DocumentRole, Callable[..., Dataset | None]] = {
        DocumentRole.PDF: build_pdf,
        DocumentRole.CAPTURE: build_picture,
        DocumentRole.KEY_IMAGES: build_key_images,
    }
    made = {role: builders[role](report, outcome, font=font) for role in roles}
    return {role: view for role, view in made.items() if view is not None}


def with_views(record: Record, settings: Settings) -> Record:
    """Return a record with the views that the destinations want, built before any transaction.

    Raises:
        StructuredReportError: one cannot be made.
    """
    wanted = wanted_views(settings)
    return replace(
        record,
        views={
            variant: views_of(pair.report, wanted.get(variant, []), record.outcome, settings.delivery.font)
            for variant, pair in record.documents.items()
        },
    )
