"""The order of messages: those of one study arrive in the order in which they were written.

DICOM documents are independent of each other and need no order; a message replaces the one before it.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session, aliased

from agent.database.states import UNSENT
from agent.database.tables import Delivery, Document, Draft
from agent.foundation.document_roles import MESSAGES

_HELD_BACK = [state.value for state in UNSENT]


def nothing_earlier() -> ColumnElement[bool]:
    """Return the condition on delivery and draft that no earlier message of the study is still to be sent."""
    delivery, document, draft = aliased(Delivery), aliased(Document), aliased(Draft)
    return ~exists(
        select(delivery.id)
        .join(document, document.id == delivery.document_id)
        .join(draft, draft.id == document.draft_id)
        .where(
            draft.study_id == Draft.study_id,
            delivery.destination == Delivery.destination,
            delivery.state.in_(_HELD_BACK),
            delivery.id < Delivery.id,
        )
        .correlate(Delivery, Draft)
    )


def was_overtaken(session: Session, delivery: Delivery) -> bool:
    """Whether a stopped message has a later one of its study: sent now, it would replace what is newer."""
    document = session.get_one(Document, delivery.document_id)
    if document.role not in MESSAGES:
        return False
    draft = session.get_one(Draft, document.draft_id)
    later = (
        select(Delivery.id)
        .join(Document, Document.id == Delivery.document_id)
        .join(Draft, Draft.id == Document.draft_id)
        .where(
            Draft.study_id == draft.study_id,
            Delivery.destination == delivery.destination,
            Document.role.in_(MESSAGES),
            Delivery.id > delivery.id,
            Document.draft_id != draft.id,
        )
    )
    return bool(session.scalar(select(later.exists())))
