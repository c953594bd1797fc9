"""Parses the query string of a search over HTTP into matching keys.

Attributes are named by keyword or tag, with a dot before those of a sequence's item:
`ScheduledWorkitemCodeSequence.CodeValue=110004`, `00404018.00080100=110004`.

Source: PS3.18 8.3.4 (query parameters), 11.9.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

# What a search returns if it names no attribute (PS3.4 table CC.2.5-3, matching and return keys).
DEFAULT = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ProcedureStepState",
    "InputReadinessState",
    "ScheduledProcedureStepPriority",
    "ProcedureStepLabel",
    "WorklistLabel",
    "ScheduledProcedureStepStartDateTime",
    "ScheduledStationNameCodeSequence",
    "ScheduledWorkitemCodeSequence",
    "InputInformationSequence",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "ReferencedRequestSequence",
    "ProcedureStepProgressInformationSequence",
)
_MOST = 1000
_CONTROL = ("includefield", "limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching")


class BadQuery(ValueError):
    """A parameter that names no attribute, or a value that does not fit its attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Matching keys (those without a value are return keys), and the requested part of the results."""

    keys: Dataset
    limit: int
    offset: int
    everything: bool


def read_query(parameters: Iterable[tuple[str, str]]) -> Search:
    """Read the parameters of a search.

    Raises:
        BadQuery: a name or a value cannot be read.
    """
    keys, limit, offset, everything = Dataset(), _MOST, 0, False
    keys.SpecificCharacterSet = "ISO_IR 192"
    for keyword in DEFAULT:
        _put(keys, (keyword,), "")
    for name, value in parameters:
        if name == "includefield":
            everything = everything or value.lower() == "all"
            for one in (part for part in value.split(",") if part and part.lower() != "all"):
                _put(keys, tuple(one.split(".")), "")
        elif name == "limit":
            limit = min(_MOST, _count(name, value))
        elif name == "offset":
            offset = _count(name, value)
        elif name not in _CONTROL:
            _put(keys, tuple(name.split(".")), value)
    return Search(keys=keys, limit=limit, offset=offset, everything=everything)


def read_filter(text: str) -> Dataset | None:
    """Read the filter of a subscription, `PatientID=1,ProcedureStepState=SCHEDULED`; None if it is empty.

    Raises:
        BadQuery: a name or a value cannot be read.
    """
    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 192"
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        _put(keys, tuple(name.split(".")), value)
    return keys if len(keys) > 1 else None


def _put(keys: Dataset, path: tuple[str, ...], value: str) -> None:
    tag = _tag(path[0])
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr == "SQ":
        if tag not in keys:
            keys.add_new(tag, "SQ", [Dataset()])
        elif not keys[tag].value:
            keys[tag].value = [Dataset()]
        if len(path) > 1:
            _put(keys[tag].value[0], path[1:], value)
        elif value:
            raise BadQuery(f"{path[0]} is a sequence: name an attribute of its item")
        return
    if len(path) > 1:
        raise BadQuery(f"{path[0]} is not a sequence")
    if tag in keys and not value:
        return
    values = value.split(",") if vr == "UI" else value.split("\\")
    try:
        keys.add_new(tag, vr, values if len(values) > 1 else value or None)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadQuery(f"this is not a value of {path[0]}") from error


def _tag(name: str) -> int:
    tag = tag_for_keyword(name)
    if tag is None and len(name) == 8:
        try:
            tag = int(name, 16)
            dictionary_VR(tag)
        except (ValueError, KeyError):
            tag = None
    if tag is None:
        raise BadQuery(f"{name[:64]!r} is not an attribute")
    return tag


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise BadQuery(f"{name} must be a whole number")
    return int(value)
