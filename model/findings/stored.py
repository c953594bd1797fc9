"""A finding in the plain form stored with drafts: the keys of `dataclasses.asdict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.findings.types import Change, Finding, Laterality, Presence, Severity


def finding_of(value: Mapping[str, Any]) -> Finding:
    """Return a finding from its plain form.

    Raises:
        KeyError, ValueError: it is not the plain form of a finding.
    """
    return Finding(
        concept=value["concept"],
        presence=Presence(value["presence"]),
        laterality=None if value.get("laterality") is None else Laterality(value["laterality"]),
        location=value.get("location"),
        severity=None if value.get("severity") is None else Severity(value["severity"]),
        change=None if value.get("change") is None else Change(value["change"]),
        evidence=value.get("evidence") or "",
    )
