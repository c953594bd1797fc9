"""What a row of `documents` is: the values of its column `role`."""

from __future__ import annotations

from enum import StrEnum


class DocumentRole(StrEnum):
    """A document's part among the documents of its draft."""

    FINDINGS = "findings"
    REPORT = "report"
    # The report as Encapsulated PDF and as Secondary Capture image, its images as Key Object Selection, and
    # what takes each back.
    PDF = "pdf"
    CAPTURE = "capture"
    WITHDRAWN_PDF = "withdrawn-pdf"
    WITHDRAWN_CAPTURE = "withdrawn-image"
    KEY_IMAGES = "kos"
    WITHDRAWN_KEY_IMAGES = "withdrawn-kos"
    REJECTION_NOTE = "rejection-note"
    # The rejected revision of a withdrawn draft's two documents.
    WITHDRAWN_FINDINGS = "withdrawn-a"
    WITHDRAWN_REPORT = "withdrawn-b"
    # To a destination of a message kind: the draft, a second message that says how urgent it is, and the
    # message that takes a withdrawn draft back.
    MESSAGE = "message"
    ESCALATION = "escalation"
    RETRACTION = "retraction"


PAIR = (DocumentRole.FINDINGS, DocumentRole.REPORT)
VIEWS = (DocumentRole.PDF, DocumentRole.CAPTURE, DocumentRole.KEY_IMAGES)
MESSAGES = (DocumentRole.MESSAGE, DocumentRole.ESCALATION, DocumentRole.RETRACTION)
# These take a draft back; they are sent whatever stops the others.
TAKING_BACK = (
    DocumentRole.WITHDRAWN_FINDINGS,
    DocumentRole.WITHDRAWN_REPORT,
    DocumentRole.WITHDRAWN_PDF,
    DocumentRole.WITHDRAWN_CAPTURE,
    DocumentRole.WITHDRAWN_KEY_IMAGES,
    DocumentRole.REJECTION_NOTE,
    DocumentRole.RETRACTION,
)
