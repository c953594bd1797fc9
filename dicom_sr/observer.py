"""The observers: the software with its identifiers, and the person who verified (TID 1001-1004)."""

from __future__ import annotations

from dicom_sr import codes, content
from dicom_sr.content import Item, Relationship
from dicom_sr.identifiers import device_uid
from dicom_sr.values import Algorithm, Verification


def algorithm_uid(algorithm: Algorithm) -> str:
    """The UID of the observing device: it changes with name, version or weights."""
    return device_uid(algorithm.name, algorithm.version, algorithm.weights_sha256)


def serial_number(algorithm: Algorithm) -> str:
    """The device's serial number: the start of its weights' digest (the whole one is a parameter)."""
    return algorithm.weights_sha256[:16] or "unknown"


def observer_items(algorithm: Algorithm, verification: Verification | None = None) -> list[Item]:
    """TID 1001: the device, and the person who verified the report, if any."""
    context = Relationship.OBS_CONTEXT
    items = [
        content.code(codes.OBSERVER_TYPE, codes.DEVICE, context),
        content.uid_reference(codes.DEVICE_OBSERVER_UID, algorithm_uid(algorithm)),
        content.text(codes.DEVICE_OBSERVER_NAME, algorithm.name, context),
        content.text(codes.DEVICE_OBSERVER_MANUFACTURER, algorithm.manufacturer, context),
        content.text(codes.DEVICE_OBSERVER_MODEL, algorithm.name, context),
        content.text(codes.DEVICE_OBSERVER_SERIAL, serial_number(algorithm), context),
    ]
    if verification is not None:
        items.append(content.code(codes.OBSERVER_TYPE, codes.PERSON, context))
        items.append(content.person(codes.PERSON_OBSERVER_NAME, verification.observer_name))
    return items
