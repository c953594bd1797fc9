"""The answer to a STOW-RS request: the status, and which objects were stored. Pure.

Source: PS3.18 10.5.3 (response), I.2 (Store Instances Response Module), table I.2-2 (failure reasons).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import DataElement, Dataset, config
from pydicom.datadict import tag_for_keyword

from agent.receive.receiver import ReceiveStatus

_TRY_AGAIN = frozenset({ReceiveStatus.OUT_OF_RESOURCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """The result of one part; its UIDs are empty if it could not be read."""

    sop_class_uid: str
    sop_instance_uid: str
    status: ReceiveStatus


def http_status(parts: Sequence[StoredPart]) -> int:
    """Return 200 if all were stored, 202 if some were, 409 if none was; 503 if none was for lack of
    resources.

    A sender that gets 202 sends the failed objects again; objects that are already here count as stored.
    """
    taken = sum(one.status is ReceiveStatus.SUCCESS for one in parts)
    if taken == len(parts) and parts:
        return 200
    if taken:
        return 202
    return 503 if parts and all(one.status in _TRY_AGAIN for one in parts) else 409


def response_of(parts: Sequence[StoredPart], retrieve_url: str = "") -> Dataset:
    """Return the Store Instances Response as a data set."""
    response = Dataset()
    response.RetrieveURL = retrieve_url
    taken = [_item(one) for one in parts if one.status is ReceiveStatus.SUCCESS]
    failed = []
    for one in parts:
        if one.status is not ReceiveStatus.SUCCESS:
            item = _item(one)
            item.FailureReason = int(one.status)
            failed.append(item)
    if failed:
        response.FailedSOPSequence = failed
    if taken:
        response.ReferencedSOPSequence = taken
    return response


def _item(part: StoredPart) -> Dataset:
    item = Dataset()
    # As received: a sender must recognise its objects, and an invalid UID is no reason to fail.
    for keyword, uid in (
        ("ReferencedSOPClassUID", part.sop_class_uid),
        ("ReferencedSOPInstanceUID", part.sop_instance_uid),
    ):
        tag = tag_for_keyword(keyword) or 0
        item[tag] = DataElement(tag, "UI", uid, validation_mode=config.IGNORE)
    return item
