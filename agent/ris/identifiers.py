"""Chooses, in PID and in MRG, the patient identifier that the images use. Pure.

Source: HL7 v2.5.1 chapter 3.4.2 (PID-2, PID-3, PID-4) and 3.4.9 (MRG-1, MRG-2, MRG-4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.database.identity.patient import Patient, contradicts
from agent.foundation.errors import MessageRefused
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.message import Segment
from agent.ris.values import date_of, person_name, sex_of

# The field of MRG that states the previous value of each field of PID.
_EARLIER = {3: 1, 2: 4, 4: 2}
_OF_PATIENTS = ("PI", "MR", "PT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One repetition (CX): number, assigning authority as `namespace&universal ID&type`, and type code."""

    number: str
    issuer: str
    kind: str

    def alike(self, other: Identifier) -> bool:
        """Whether both are of the same authority and type, as far as both state them."""
        kinds = {"PI" if each.kind in _OF_PATIENTS else each.kind for each in (self, other) if each.kind}
        return len(kinds) < 2 and _same_authority(self.issuer, other.issuer)


def identifiers_in(segment: Segment, field: int, settings: Hl7Settings) -> list[Identifier]:
    """Return the identifiers in a field, with the one that the images use first.

    That is the one of `patient_authority`, else the one of type PI, MR or PT, else the first.
    """
    found = []
    for one in segment.repetitions(field):
        number = segment.part(one, 1)
        issuer = "&".join(segment.part(one, 4, n) for n in (1, 2, 3)).rstrip("&")
        if number:
            kind = segment.part(one, 5).upper()
            found.append(Identifier(number=number, issuer=issuer or settings.patient_authority, kind=kind))
    wanted = settings.patient_authority.split("&")[0]

    def rank(one: Identifier) -> tuple[bool, bool]:
        return not (wanted and one.issuer.split("&")[0] == wanted), one.kind not in _OF_PATIENTS

    return sorted(found, key=rank)


def patient_in(pid: Segment | None, settings: Hl7Settings) -> Patient:
    """Return the patient of a PID segment, identified by the first field of `hl7.patient_identifiers` with a
    value.

    Raises:
        MessageRefused: there is no PID, or none of these fields states an identifier.
    """
    if pid is None:
        raise MessageRefused("it has no PID segment")
    return _patient(pid, _present(pid, settings)[1][0])


def merged_in(
    pid: Segment, mrg: Segment, settings: Hl7Settings
) -> Iterator[tuple[Patient, tuple[Patient, ...]]]:
    """Yield the surviving patient with the earlier identifiers of the same authority and type.

    If several authorities have merged their identifiers, each is yielded; if PID and MRG have no authority in
    common, the identifier that the images use counts on both sides. Nothing is yielded if MRG states no
    identifier, or none of `patient_authority`: another authority's number may be a different patient's number
    in the images.
    """
    field, present = _present(pid, settings)
    earlier = _earlier(pid, mrg, field, present, settings)
    if not earlier:
        return
    pairs: dict[Identifier, list[Identifier]] = {}
    for old in earlier:
        survivor = next((one for one in present if old.alike(one)), None)
        if survivor is not None and _counts(old, survivor, present[0], settings):
            pairs.setdefault(survivor, []).append(old)
    strange = settings.patient_authority and not _same_authority(
        earlier[0].issuer, settings.patient_authority
    )
    if not pairs and not strange:
        pairs[present[0]] = [one for one in earlier if one.alike(earlier[0])]
    for survivor, olds in pairs.items():
        changed = [one for one in olds if one.number != survivor.number or not one.alike(survivor)]
        merged = (Patient(patient_id=one.number, issuer_of_patient_id=one.issuer) for one in changed)
        yield _patient(pid, survivor), tuple(dict.fromkeys(merged))


def earlier_patient(pid: Segment, mrg: Segment, settings: Hl7Settings) -> Patient | None:
    """Return the patient that MRG names, by the identifier that the images use, or None."""
    field, present = _present(pid, settings)
    earlier = _earlier(pid, mrg, field, present, settings)
    of_survivor = [one for one in earlier if one.alike(present[0])] or earlier
    if not of_survivor:
        return None
    return Patient(patient_id=of_survivor[0].number, issuer_of_patient_id=of_survivor[0].issuer)


def _present(pid: Segment, settings: Hl7Settings) -> tuple[int, list[Identifier]]:
    """Return the field of PID that counts, and its identifiers."""
    for name in settings.patient_identifiers:
        field = int(name.removeprefix("PID-"))
        if found := identifiers_in(pid, field, settings):
            return field, found
    raise MessageRefused(f"none of {', '.join(settings.patient_identifiers)} names a patient")


def _earlier(
    pid: Segment, mrg: Segment, field: int, present: list[Identifier], settings: Hl7Settings
) -> list[Identifier]:
    """Return the identifiers in the MRG field that corresponds to the PID field, else in MRG-1 or MRG-4.

    Another field holds another kind of number if PID has a different value there: such a number may be a
    different patient's number in the images.
    """
    if found := identifiers_in(mrg, _EARLIER[field], settings):
        return found
    numbers = {one.number for one in present}
    for theirs, ours in ((3, 1), (2, 4)):
        stated = {one.number for one in identifiers_in(pid, theirs, settings)}
        if theirs != field and stated <= numbers and (found := identifiers_in(mrg, ours, settings)):
            return found
    return []


def _same_authority(one: str, other: str) -> bool:
    """Whether two issuers can be the same, as far as both are stated."""
    first, second = (Patient(patient_id="", issuer_of_patient_id=issuer) for issuer in (one, other))
    return not contradicts(first, second)


def _counts(old: Identifier, survivor: Identifier, chosen: Identifier, settings: Hl7Settings) -> bool:
    """Whether the images may use both: they are of `patient_authority`, or it is not set."""
    if survivor != chosen and settings.patient_authority:
        return False
    if old.kind == survivor.kind == chosen.kind:
        return True
    return all(one.kind in (*_OF_PATIENTS, "") for one in (old, survivor))


def _patient(pid: Segment, identifier: Identifier) -> Patient:
    return Patient(
        patient_id=identifier.number,
        issuer_of_patient_id=identifier.issuer,
        patient_birth_date=date_of(pid.text(7)),
        patient_sex=sex_of(pid.text(8)),
        patient_name=person_name(pid),
    )
