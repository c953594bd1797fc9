"""The assigning authority of an identifier: an HL7 v2 hierarchic designator in DICOM.

Source: PS3.3 10.14 (HL7v2 Hierarchic Designator Macro), 10.15.1 (Issuer of Patient ID Macro), C.7.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_sr.elements import identifier, items, text

_UNIVERSAL_TYPES = frozenset({"DNS", "EUI64", "ISO", "URI", "UUID", "X400", "X500"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An assigning authority: a local name, a universal identifier with its type, or both."""

    local: str = ""
    universal: str = ""
    universal_type: str = ""

    def differs_from(self, other: Authority) -> bool:
        """Whether both are stated and differ; an equal universal identifier settles it."""
        if self.universal and other.universal:
            return self.universal != other.universal
        return bool(self.local and other.local) and self.local.casefold() != other.local.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentifier:
    """A Patient ID with the authority that makes it unique. `kind` is Type of Patient ID (TEXT, RFID,
    BARCODE)."""

    patient_id: str
    issuer: str = ""
    kind: str = ""
    qualifiers: Qualifiers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualifiers:
    """An item of Issuer of Patient ID Qualifiers Sequence."""

    universal: str = ""
    universal_type: str = ""
    identifier_type: str = ""
    facility: Authority | None = None


def authority(dataset: Dataset, keyword: str) -> Authority | None:
    """The first designator of a sequence; None if it names no authority."""
    found = (_authority(item) for item in items(dataset, keyword))
    return next((one for one in found if one is not None), None)


def qualifiers(dataset: Dataset) -> Qualifiers | None:
    """The first item of Issuer of Patient ID Qualifiers Sequence; None if it is empty."""
    for item in items(dataset, "IssuerOfPatientIDQualifiersSequence"):
        named = _authority(item) or Authority()
        one = Qualifiers(
            universal=named.universal,
            universal_type=named.universal_type,
            identifier_type=_code_string(item, "IdentifierTypeCode"),
            facility=authority(item, "AssigningFacilitySequence"),
        )
        if one != Qualifiers():
            return one
    return None


def other_identifiers(dataset: Dataset, notes: list[str]) -> tuple[PatientIdentifier, ...]:
    """The items of Other Patient IDs Sequence, each complete; one that is too long is left out with a
    note."""
    found = []
    for item in items(dataset, "OtherPatientIDsSequence"):
        before = len(notes)
        one = PatientIdentifier(
            patient_id=identifier(item, "PatientID", 64, notes),
            issuer=identifier(item, "IssuerOfPatientID", 64, notes),
            kind=_code_string(item, "TypeOfPatientID"),
            qualifiers=qualifiers(item),
        )
        # Without its issuer it would be a different identifier.
        if one.patient_id and len(notes) == before:
            found.append(one)
    return tuple(dict.fromkeys(found))


def _authority(item: Dataset) -> Authority | None:
    universal, kind = text(item, "UniversalEntityID"), _code_string(item, "UniversalEntityIDType")
    if not universal or kind not in _UNIVERSAL_TYPES:
        universal = kind = ""
    one = Authority(local=text(item, "LocalNamespaceEntityID"), universal=universal, universal_type=kind)
    return None if one == Authority() else one


def _code_string(dataset: Dataset, keyword: str) -> str:
    """A value of VR CS; empty if it is invalid."""
    value = text(dataset, keyword).upper()
    return value if len(value) <= 16 and all(char.isalnum() or char in " _" for char in value) else ""
