"""Datasets of other systems, checked once on entry, so that later code can rely on the types of values.

Source: PS3.5 sections 6.2 (value representations) and 7.5 (nesting), PS3.6 (data dictionary).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName
from pynetdicom import evt
from pynetdicom.dsutils import decode

from agent.foundation.errors import UnreadableInstance, WorkitemInvalid
from agent.objects.element_walk import Budget
from agent.objects.guarded_read import check_budget
from dicom_sr.attributes import FOREIGN_ERRORS

# A workitem has a few dozen elements, and an item for each image and code.
BUDGET = Budget(elements=20_000, items=5_000)
_DEEPEST = 16
_LONGEST_TEXT = 65_536
# Stored in database columns of this length (characters).
_LONGEST = {
    "PatientID": 64,
    "PatientName": 324,
    "AccessionNumber": 64,
    "StudyInstanceUID": 64,
    "SOPInstanceUID": 64,
    "TransactionUID": 64,
}


def dataset_of(event: evt.Event, parameter: str) -> Dataset:
    """Return a dataset of a DIMSE message; an empty one where the message has none.

    parameter: the name of the primitive's parameter, such as `AttributeList`.

    Raises:
        WorkitemInvalid: it cannot be parsed, or has more elements than any workitem.
    """
    data = getattr(event.request, parameter)
    if data is None:
        return Dataset()
    try:
        with data.getbuffer() as encoded:
            check_budget(encoded, str(event.context.transfer_syntax), BUDGET)
        syntax: Any = event.context.transfer_syntax
        return decode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    except UnreadableInstance as error:
        raise WorkitemInvalid(f"the data set: {error.code}") from error
    except FOREIGN_ERRORS as error:
        raise WorkitemInvalid("the data set cannot be read") from error


def misread(dataset: Dataset) -> tuple[str, ...]:
    """Return the attributes whose VR is not the dictionary's, or whose value cannot be stored.

    All later code relies on this: a sequence is a sequence, and a text is a text. Attributes of items are
    named after their sequence; private and unknown ones may have any VR.
    """
    return tuple(_misread(dataset, "", 0))


def _misread(dataset: Dataset, before: str, depth: int) -> Iterator[str]:
    for tag in list(dataset.keys()):
        name = keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        try:
            element = dataset[tag]
            vr, value = str(element.VR), element.value
            inner = list(value or ()) if vr == "SQ" else []
        except FOREIGN_ERRORS:
            yield before + name
            continue
        longest = _LONGEST.get(name, _LONGEST_TEXT)
        kept = bool(inner) or vr == "SQ" or all(_keepable(one, longest) for one in _values(value))
        if vr not in _vrs(tag, vr) or not kept or (inner and depth == _DEEPEST):
            yield before + name
            continue
        for item in inner:
            yield from _misread(item, f"{before}{name}.", depth + 1)


def _vrs(tag: BaseTag, present: str) -> tuple[str, ...]:
    """The VRs that an attribute may have; a private or unknown attribute may have any."""
    try:
        return tuple(dictionary_VR(tag).split(" or "))
    except KeyError:
        return (present,)


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)


def _keepable(value: Any, longest: int) -> bool:
    """Whether a database and JSON can hold a value: no NUL, no lone surrogate, no infinite number."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str | PersonName):
        return True
    text = str(value)
    return len(text) <= longest and "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
