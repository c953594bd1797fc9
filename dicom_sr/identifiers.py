"""UIDs are derived, never random: equal documents get equal UIDs, different ones different UIDs.

An instance's UID is a digest of every byte of the instance but its own UIDs, so no two different
documents can share one and a rebuild is byte-identical.

Source: PS3.5 B.2 (UUID-derived UIDs, root 2.25); RFC 4122 4.3 (version 5).
"""

from __future__ import annotations

import hashlib
import uuid

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "structured-reports.echo-agent.invalid")


def derived_uid(*parts: str) -> str:
    """A UID (at most 44 characters) that depends only on the parts and their order."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, framed).int}"


def device_uid(name: str, version: str, weights_sha256: str) -> str:
    """The observing device: one algorithm with one set of weights."""
    return derived_uid("device", name, version, weights_sha256)


def tracking_uid(study_instance_uid: str, device: str, subject: str) -> str:
    """One assessed finding of one study by one device; the same in all revisions of a report."""
    return derived_uid("tracking", study_instance_uid, device, subject)


def instance_uid(content: bytes) -> str:
    """The SOP Instance UID of a document, from its encoding without instance and series UID."""
    return derived_uid("instance", hashlib.sha256(content).hexdigest())


def series_uid(instance: str) -> str:
    """The Series Instance UID of a document's own series."""
    return derived_uid("series", instance)
