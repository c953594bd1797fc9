"""The stored algorithm of a draft, so that a later document can name it."""

from __future__ import annotations

from agent.database.tables import Draft
from dicom_sr.document import Algorithm


def algorithm_of_draft(drafted: Draft) -> Algorithm:
    """Return the algorithm that wrote a draft."""
    kept = drafted.content.get("algorithm") or {}
    return Algorithm(
        name=drafted.model_name,
        version=str(kept.get("version") or "unknown"),
        manufacturer=str(kept.get("manufacturer") or "ECHO Agent"),
        weights_sha256=drafted.model_digest,
        demonstration=drafted.demonstration,
        parameters=dict(kept.get("parameters") or {}),
    )
