"""What a DICOMweb server's answer to a Store request means for the delivery. Pure.

Source: PS3.18 10.5.3, I.2 (Store Instances Response), PS3.3 C.12.1.1.9, PS3.19 A.1 (Native DICOM Model).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.network.statuses import StoreOutcome, store_status

_FAILED_SOP_SEQUENCE, _FAILURE_REASON = "00081198", "00081197"
_REFERENCED_SOP_SEQUENCE, _WARNING_REASON = "00081199", "00081196"
# The reason of a failed item whose reason cannot be read.
_PROCESSING_FAILURE = 0x0110


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reasons:
    """The reasons of an answer's failed items, and the warnings of its stored ones."""

    failed: tuple[int, ...] = ()
    warned: tuple[int, ...] = ()


def judge_success(media_type: str, content: bytes) -> str | None:
    """Read an answer 2xx; return the warning that the document was stored with, None for plain success.

    media_type: the answer's Content-Type. An answer without content is success.

    Raises:
        DeliveryRefused, DeliveryFailed: it failed nevertheless, or this is not an answer to a Store request.
    """
    try:
        reasons = _read(media_type, content)
    except ValueError as error:
        raise DeliveryFailed(
            "the DICOMweb server answered with success, but not in DICOM JSON or XML: "
            "perhaps a page to sign in"
        ) from error
    return _judge(reasons.failed) or _warning(reasons.warned)


def judge_conflict(media_type: str, content: bytes) -> str | None:
    """Return None, or a warning, if an answer 409 means that the document is stored after all.

    Raises:
        DeliveryRefused, DeliveryFailed: it is not.
    """
    try:
        failed = _read(media_type, content).failed
    except ValueError:
        failed = ()
    return _judge(failed or (_PROCESSING_FAILURE,))


def _judge(reasons: Sequence[int]) -> str | None:
    """Raise the error for the first failure's reason; return a warning if it means stored after all."""
    for reason in reasons:
        status = store_status(reason)
        words = f"0x{reason:04X}, {status.meaning}"
        if status.verdict is StoreOutcome.NEVER:
            raise DeliveryRefused(f"the DICOMweb server answered {words}")
        if status.verdict is StoreOutcome.AGAIN:
            raise DeliveryFailed(f"the DICOMweb server answered {words}")
        if status.verdict is StoreOutcome.WARNED:
            return words
    return None


def _warning(reasons: Sequence[int]) -> str | None:
    return next((f"0x{one:04X}, {store_status(one).meaning}" for one in reasons), None)


def _read(media_type: str, content: bytes) -> _Reasons:
    """Return the reasons in an answer in JSON or XML, whatever parameters its media type has.

    Raises:
        ValueError: it is neither JSON nor XML.
    """
    content = content.strip()
    if not content:
        return _Reasons()
    if "xml" in media_type.lower().partition(";")[0]:
        return _of_xml(content)
    read = json.loads(content)
    # Some servers put the one data set into a list.
    (stated,) = read if isinstance(read, list) else (read,)
    if not isinstance(stated, dict):
        raise ValueError("the answer is no data set")
    failed = (_number(one) for one in _json_items(stated, _FAILED_SOP_SEQUENCE, _FAILURE_REASON))
    warned = (_number(one) for one in _json_items(stated, _REFERENCED_SOP_SEQUENCE, _WARNING_REASON))
    return _reasons(failed, warned)


def _reasons(failed: Iterator[int], warned: Iterator[int]) -> _Reasons:
    return _Reasons(
        failed=tuple(one or _PROCESSING_FAILURE for one in failed),
        warned=tuple(one for one in warned if one),
    )


def _json_items(stated: dict[str, Any], sequence: str, reason: str) -> Iterator[Any]:
    """Yield the reason in each item of a sequence; a single None if it is not a sequence."""
    element = stated.get(sequence, {})
    plain = isinstance(element, dict) and element.keys() <= {"vr", "Value"}
    values = element.get("Value") or [] if plain else None
    if not isinstance(values, list):
        yield None
        return
    for item in values:
        attribute = item.get(reason) if isinstance(item, dict) else None
        value = attribute.get("Value") if isinstance(attribute, dict) else None
        yield value[0] if isinstance(value, list) and len(value) == 1 else None


def _number(stated: Any) -> int:
    """Return a status code, 0 for anything else."""
    text = str(stated).strip() if isinstance(stated, str | int) and not isinstance(stated, bool) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if number <= 0xFFFF else 0


def _of_xml(content: bytes) -> _Reasons:
    """Return the reasons in a data set in XML; a document type declaration is refused, as it may define
    entities.
    """
    if b"<!DOCTYPE" in content:
        raise ValueError("the answer has a document type")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError("the answer is no XML") from error
    if root.tag.rpartition("}")[2] != "NativeDicomModel":
        raise ValueError("the answer is no data set")
    failed = (_number(one) for one in _xml_items(root, _FAILED_SOP_SEQUENCE, _FAILURE_REASON))
    warned = (_number(one) for one in _xml_items(root, _REFERENCED_SOP_SEQUENCE, _WARNING_REASON))
    return _reasons(failed, warned)


def _xml_items(root: ElementTree.Element, sequence: str, reason: str) -> Iterator[str | None]:
    for element in root:
        for item in element if element.get("tag") == sequence else ():
            values = [value.text for one in item if one.get("tag") == reason for value in one]
            yield values[0] if len(values) == 1 else None
