"""Decides whether two objects name the same patient: compares attributes as DICOM values, not as strings.

An empty value never conflicts. Spaces at the ends, the padding of a name, upper and lower
case, the form of a date and the writing system of a name carry no meaning here. A name decides only if one
side has no Patient ID, because names are corrected more often than identifiers.

Source: PS3.5 6.2 (VRs DA, LO, PN), 6.2.1.1 (component groups of a name); PS3.3 C.7.1.1.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from pydicom import Dataset

from dicom_sr.elements import text

_KNOWN_SEXES = ("M", "F", "O")
# Databases that require a date write the first or last possible one for "unknown".
_NO_YEARS = ("0000", "0001", "9999")
# How German and Scandinavian letters are written in systems that know only A to Z.
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "æ": "ae", "ø": "oe", "ß": "ss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The attributes that tell patients apart; empty text for what is not stated."""

    patient_id: str
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    patient_name: str = ""


class NamesPatient(Protocol):
    """A row with a patient's columns, such as `agent.database.tables.Study`."""

    @property
    def patient_id(self) -> str:
        """PatientID."""

    @property
    def issuer_of_patient_id(self) -> str:
        """IssuerOfPatientID."""

    @property
    def patient_birth_date(self) -> str:
        """PatientBirthDate."""

    @property
    def patient_name(self) -> str:
        """PatientName."""


class NamesPatientAndSex(NamesPatient, Protocol):
    """The same for an image, such as `agent.objects.header.Header`."""

    @property
    def patient_sex(self) -> str:
        """PatientSex."""


def patient_of(header: NamesPatientAndSex) -> Patient:
    """Return the patient that an object names."""
    return Patient(
        patient_id=header.patient_id,
        issuer_of_patient_id=header.issuer_of_patient_id,
        patient_birth_date=header.patient_birth_date,
        patient_sex=header.patient_sex,
        patient_name=header.patient_name,
    )


def patient_of_dataset(dataset: Dataset) -> Patient:
    """Return the patient that an image or one of our own documents names; the sex is not compared."""
    return Patient(
        patient_id=text(dataset, "PatientID"),
        issuer_of_patient_id=text(dataset, "IssuerOfPatientID"),
        patient_birth_date=text(dataset, "PatientBirthDate"),
        patient_name=text(dataset, "PatientName", is_name=True),
    )


def patient_of_row(study: NamesPatient) -> Patient:
    """Return the patient that a study's row names; no column holds the sex."""
    return Patient(
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        patient_birth_date=study.patient_birth_date,
        patient_name=study.patient_name,
    )


def contradicts(one: Patient, other: Patient) -> bool:
    """Whether the two cannot be one patient: both state an identifier, issuer or birth date, and these
    differ.
    """
    first, second = _identifier(one.patient_id), _identifier(other.patient_id)
    if first and second and first != second:
        return True
    if _issuers_differ(one.issuer_of_patient_id, other.issuer_of_patient_id):
        return True
    if _dates_differ(one.patient_birth_date, other.patient_birth_date):
        return True
    return not (first and second) and _names_differ(one.patient_name, other.patient_name)


def same_patient(one: Patient, other: Patient) -> bool:
    """Whether the two are known to be one patient: the same Patient ID, and no contradiction."""
    first = _identifier(one.patient_id)
    if not first or first != _identifier(other.patient_id) or contradicts(one, other):
        return False
    sexes = {one.patient_sex.strip().upper(), other.patient_sex.strip().upper()} & set(_KNOWN_SEXES)
    return len(sexes) < 2


def several_patients(patients: Iterable[Patient]) -> bool:
    """Whether any two contradict each other."""
    return any(contradicts(one, other) for one, other in combinations(set(patients), 2))


def _identifier(value: str) -> str:
    return unicodedata.normalize("NFC", value).strip(" \0")


def _issuers_differ(one: str, other: str) -> bool:
    """Compare assigning authorities, which may be given as an HL7 v2 HD: `namespace&universal ID&type`, or
    with `^` between the parts."""
    first, second = (_authority(value) for value in (one, other))
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a and b]
    # A universal identifier decides; a local name is compared if one side has nothing else.
    return bool(pairs) and pairs[-1][0] != pairs[-1][1]


def _authority(value: str) -> tuple[str, str]:
    parts = [part.strip().casefold() for part in re.split(r"[&^]", _identifier(value))]
    return parts[0], parts[1] if len(parts) > 1 else ""


def _dates_differ(one: str, other: str) -> bool:
    """Compare dates to their common precision; an invalid date never conflicts."""
    first, second = _date(one), _date(other)
    length = min(len(first), len(second))
    return first[:length] != second[:length]


def _date(value: str) -> str:
    """Return a date as YYYYMMDD, YYYYMM or YYYY, whatever separates its parts; empty if it is invalid."""
    match = re.fullmatch(r"(\d{4})[-./ ]?(?:(\d{2})[-./ ]?(\d{2})?)?", value.strip(" \0"))
    if match is None or match[1] in _NO_YEARS:
        return ""
    year, month, day = match[1], match[2] or "00", match[3] or "00"
    if month == "00":
        return year
    if day == "00":
        return year + month if 1 <= int(month) <= 12 else ""
    try:
        return f"{datetime.date(int(year), int(month), int(day)):%Y%m%d}".rjust(8, "0")
    except ValueError:
        return ""


def _names_differ(one: str, other: str) -> bool:
    """Compare names group by group: alphabetic, ideographic, phonetic; one group that agrees is enough."""
    pairs = [
        (first, second)
        for first, second in zip(_groups(one), _groups(other), strict=False)
        if _words(first) and _words(second)
    ]
    return bool(pairs) and not any(_same_name(first, second) for first, second in pairs)


def _groups(name: str) -> list[str]:
    groups = [group.strip() for group in name.strip(" \0").split("=")]
    # A single group may be in any script: a name in ideographs alone is often sent as the first group.
    if len(groups) == 1 and groups[0] and not _is_latin(groups[0]):
        return ["", groups[0]]
    return groups


def _is_latin(text: str) -> bool:
    return all(unicodedata.east_asian_width(char) not in "WF" for char in text)


def _same_name(one: str, other: str) -> bool:
    return any(_same_parts(first, second) for first in _spellings(one) for second in _spellings(other))


def _same_parts(one: str, other: str) -> bool:
    """Compare family and given names; middle names only if both have one, which may be an initial."""
    if "^" not in one or "^" not in other:
        return sorted(_words(one)) == sorted(_words(other))
    first, second = (_components(name) for name in (one, other))
    if first[:2] != second[:2]:
        return False
    middle = sorted((first[2], second[2]), key=len)
    return middle[1].startswith(middle[0].rstrip("."))


def _components(name: str) -> list[str]:
    parts = [" ".join(part.split()) for part in name.split("^")]
    return [*parts, "", "", ""][:3]


def _words(name: str) -> Sequence[str]:
    return re.split(r"[\s^,]+", name.strip(" ^,")) if name.strip(" ^,") else []


def _spellings(name: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", name).casefold()
    yield _bare(folded)
    yield _bare(unicodedata.normalize("NFC", folded).translate(_SPELT_OUT))


def _bare(name: str) -> str:
    """Remove accents, apostrophes and full stops; a hyphen becomes a space."""
    plain = unicodedata.normalize("NFKD", name.replace("-", " "))
    return "".join(char for char in plain if char.isalnum() or char in " ^,")
