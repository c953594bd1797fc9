"""What a row of `documents` is: the values of its column `role`."""

from __future__ import annotations

from enum import StrEnum


class DocumentRole(StrEnum):
    """A document's part among the documents of its draft."""

    FINDINGS = "findings"
    REPORT = "report"
    # The report as Encapsulated PDF and as Secondary Capture image, its images as Key Object Selection, and
    # the document that withdraws each.
    PDF = "pdf"
    CAPTURE = "capture"
    WITHDRAWN_PDF = "withdrawn-pdf"
    WITHDRAWN_CAPTURE = "withdrawn-image"
    KEY_IMAGES = "kos"
    WITHDRAWN_KEY_IMAGES = "withdrawn-kos"
    REJECTION_NOTE = "rejection-note"
    # The rejected revisions of a withdrawn draft's two documents.
    WITHDRAWN_FINDINGS = "withdrawn-a"
    WITHDRAWN_REPORT = "withdrawn-b"
    # For a destination that takes messages: the draft, a second message that states its urgency, and the
    # message that withdraws the draft.
    MESSAGE = "message"
    ESCALATION = "escalation"
    RETRACTION = "retraction"


PAIR = (DocumentRole.FINDINGS, DocumentRole.REPORT)
VIEWS = (DocumentRole.PDF, DocumentRole.CAPTURE, DocumentRole.KEY_IMAGES)
MESSAGES = (DocumentRole.MESSAGE, DocumentRole.ESCALATION, DocumentRole.RETRACTION)
# These withdraw a draft; they are sent even if the other documents are stopped.
TAKING_BACK = (
    DocumentRole.WITHDRAWN_FINDINGS,
    DocumentRole.WITHDRAWN_REPORT,
    DocumentRole.WITHDRAWN_PDF,
    DocumentRole.WITHDRAWN_CAPTURE,
    DocumentRole.WITHDRAWN_KEY_IMAGES,
    DocumentRole.REJECTION_NOTE,
    DocumentRole.RETRACTION,
)
