"""The gate's rule on values: each fits its value representation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from dicom_sr import tree
from dicom_sr.problem import Problem

_EMPTY_NOT_ALLOWED = {"TEXT": "TextValue", "UIDREF": "UID", "PNAME": "PersonName"}


def value_problems(document: Dataset) -> Iterator[Problem]:
    """Values outside their VR (PS3.5 6.2), and content items without a value."""
    for element in document.iterall():
        if element.VR == "SQ" or element.value is None:
            continue
        values = element.value if element.VM > 1 else [element.value]
        for value in values:
            try:
                validate_value(element.VR, _stated(element.VR, value), config.RAISE)
            except ValueError:
                where = element.keyword or str(element.tag)
                yield Problem(code="value", where=where, text=f"does not fit VR {element.VR}")
    for item in tree.descendants(document):
        keyword = _EMPTY_NOT_ALLOWED.get(tree.words(item, "ValueType"))
        if keyword is not None and not tree.words(item, keyword).strip():
            yield Problem(code="empty_item", where=keyword, text="a content item must have a value")


def _stated(vr: str, value: Any) -> Any:
    """Numbers in text VRs, exactly as in the file."""
    return str(getattr(value, "original_string", value)) if vr in {"IS", "DS"} else value
