"""The output of a draft: the DICOM documents that destinations have stored, and where."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.states import DeliveryState
from agent.database.tables import Delivery, Document, Job, Study
from agent.ris.ups.wording import Reference

_HELD = (DeliveryState.STORED.value, DeliveryState.COMMITTED.value, DeliveryState.UNCOMMITTED.value)


def stored_documents(
    session: Session, job_id: int, ae_titles: Mapping[str, str] | None = None
) -> list[Reference]:
    """Return every instance of a job that a destination has stored.

    ae_titles: the AE title of each destination, from which the instance can be retrieved; its name otherwise.
    """
    known = ae_titles or {}
    rows = session.execute(
        select(Document, Delivery.destination, Study.study_instance_uid)
        .join(Delivery, Delivery.document_id == Document.id)
        .join(Job, Job.id == Delivery.job_id)
        .join(Study, Study.id == Job.study_id)
        .where(Delivery.job_id == job_id, Delivery.state.in_(_HELD), Document.sop_class_uid != "")
        .order_by(Delivery.destination, Document.id)
    ).all()
    return [
        Reference(
            sop_class_uid=document.sop_class_uid,
            sop_instance_uid=document.sop_instance_uid,
            series_instance_uid=document.series_instance_uid,
            study_instance_uid=study_instance_uid,
            retrieve_ae_title=known.get(destination, destination)[:16],
        )
        for document, destination, study_instance_uid in rows
    ]
