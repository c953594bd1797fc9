"""The observer of a draft: software, named by what identifies it (TID 1001, 1004)."""

from __future__ import annotations

from highdicom.sr import CodedConcept, ContentItem, DeviceObserverIdentifyingAttributes, ObserverContext

from dicom_sr.codes import DEVICE
from dicom_sr.identifiers import device_uid
from dicom_sr.values import Algorithm


def algorithm_uid(algorithm: Algorithm) -> str:
    """The UID of the observing device: it changes with name, version or weights."""
    return device_uid(algorithm.name, algorithm.version, algorithm.weights_sha256)


def serial_number(algorithm: Algorithm) -> str:
    """The device's serial number: its weights' digest, which is what makes it the one that it is."""
    return algorithm.weights_sha256[:64] or "unknown"


def observer_items(algorithm: Algorithm) -> list[ContentItem]:
    """TID 1001 with a device observer."""
    context = ObserverContext(
        observer_type=CodedConcept.from_code(DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=algorithm_uid(algorithm),
            name=algorithm.name,
            manufacturer_name=algorithm.manufacturer,
            model_name=algorithm.name,
            serial_number=serial_number(algorithm),
        ),
    )
    return list(context[:])
