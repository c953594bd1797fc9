"""The meaning of answers to a Store request, in the forms that servers write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.foundation.errors import AgentError, DeliveryFailed, DeliveryRefused
from agent.network.stow_answer import judge_conflict, judge_success

JSON = "application/dicom+json"


def answer(tag: str, reason_tag: str, reason: int) -> dict[str, Any]:
    """An answer in JSON with one item."""
    return {tag: {"vr": "SQ", "Value": [{reason_tag: {"vr": "US", "Value": [reason]}}]}}


def xml(tag: str, reason_tag: str, reason: int) -> bytes:
    """The same answer in the Native DICOM Model."""
    value = f'<DicomAttribute tag="{reason_tag}" vr="US"><Value number="1">{reason}</Value></DicomAttribute>'
    item = f'<DicomAttribute tag="{tag}" vr="SQ"><Item number="1">{value}</Item></DicomAttribute>'
    return f'<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">{item}</NativeDicomModel>'.encode()


@pytest.mark.parametrize(
    "kind", [JSON, "application/json", f"{JSON}; charset=utf-8", "Application/DICOM+JSON", ""]
)
def test_failed_item_is_seen_whatever_the_media_type_says(kind: str) -> None:
    """A parameter after the media type does not turn a failure into success."""
    content = json.dumps(answer("00081198", "00081197", 0xA700)).encode()
    with pytest.raises(DeliveryFailed, match="0xA700"):
        judge_success(kind, content)
    with pytest.raises(DeliveryFailed, match="0xA700"):
        judge_success(kind, b"[" + content + b"]")


@pytest.mark.parametrize("kind", ["application/dicom+xml", "application/xml; charset=utf-8", "text/xml"])
def test_answers_in_xml_mean_the_same(kind: str) -> None:
    """A server may answer in XML whatever media type was requested."""
    with pytest.raises(DeliveryRefused, match="0xA900"):
        judge_success(kind, xml("00081198", "00081197", 0xA900))
    assert judge_success(kind, xml("00081199", "00081196", 0xB000)) == "0xB000, elements coerced"
    assert judge_conflict(kind, xml("00081198", "00081197", 0x0111)) is None


def test_warning_is_kept() -> None:
    """The document is stored, and the warning's reason is kept."""
    content = json.dumps(answer("00081199", "00081196", 0xB007)).encode()
    assert judge_success(JSON, content) == "0xB007, does not match its SOP class"


@pytest.mark.parametrize("content", [b"", b" \r\n", b"{}", b"[{}]"])
def test_answer_that_names_no_failure_is_success(content: bytes) -> None:
    """Servers omit what is empty."""
    assert judge_success(JSON, content) is None


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"<!DOCTYPE html><html>Sign in</html>"),
        ("text/html", b"<html/>"),
        ("text/plain", b"OK"),
        ("application/xhtml+xml", b"<html/>"),
        ("application/xml", b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel/>'),
        ("application/xml", b"<NativeDicomModel>"),
        (JSON, b"[]"),
        (JSON, b"[{}, {}]"),
        (JSON, b'"stored"'),
        (JSON, b'{"00081198": 1}'),
        (JSON, b"\xff\xfe"),
        (JSON, b"{"),
    ],
)
def test_answer_of_another_kind_is_no_success(kind: str, content: bytes) -> None:
    """Status 200 alone does not mean stored: the document is sent again."""
    with pytest.raises(DeliveryFailed):
        judge_success(kind, content)
    with pytest.raises(AgentError):
        judge_conflict(kind, content)
