"""Headers of a study's images, completed with what the RIS has reported: the patient's identity, the order.

What the images state about their order is kept. The RIS's order only fills in what is missing, and only if it
contradicts nothing in the images. Its accession number is not added, because it is an attribute of the whole
study, and the archive holds the images without it.

Source: PS3.3 10.6 (Request Attributes Macro), C.17.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy, deepcopy

from pydicom import Dataset

from agent.database.identity.current import Resolve, resolver
from agent.database.identity.order import order_of
from agent.database.identity.patient import patient_of_dataset
from agent.database.orders import Order
from agent.database.session import Database
from agent.database.tables import Study
from dicom_sr.attributes import items, text

# Keyword, column of the order, and the longest value of its VR (LO, LO, SH, LO).
_NUMBERS = (
    ("PlacerOrderNumberImagingServiceRequest", "placer_number", 64),
    ("FillerOrderNumberImagingServiceRequest", "filler_number", 64),
)
_PROCEDURE = (
    ("RequestedProcedureID", "procedure_id", 16),
    ("RequestedProcedureDescription", "procedure", 64),
)


def as_told(database: Database, study_id: int, headers: Sequence[Dataset]) -> Sequence[Dataset]:
    """Return the headers as they are written into documents now; the given ones are not changed.

    Raises:
        DatabaseUnavailable: nothing is known.
    """
    with database.reading() as session:
        study = session.get(Study, study_id)
        order = None if study is None else order_of(session, study)
    named = with_current_patient(headers, resolver(database))
    return named if order is None else [with_order(header, order) for header in named]


def with_current_patient(headers: Iterable[Dataset], resolve: Resolve) -> Sequence[Dataset]:
    """Return headers with the patient's present identity; a header without a change is the same object."""
    return [_named_anew(header, resolve) for header in headers]


def _named_anew(header: Dataset, resolve: Resolve) -> Dataset:
    stated = patient_of_dataset(header)
    now = resolve(stated)
    if now == stated:
        return header
    changed = copy(header)
    changed.SpecificCharacterSet = "ISO_IR 192"
    changed.PatientID = now.patient_id
    # The name of the authority; `namespace&universal ID&type` is how HL7 writes it.
    changed.IssuerOfPatientID = now.issuer_of_patient_id.split("&")[0]
    changed.PatientName = now.patient_name
    changed.PatientBirthDate = now.patient_birth_date
    if now.patient_sex:
        changed.PatientSex = now.patient_sex
    if now.patient_id != stated.patient_id and "IssuerOfPatientIDQualifiersSequence" in changed:
        del changed.IssuerOfPatientIDQualifiersSequence
    return changed


def with_order(header: Dataset, order: Order) -> Dataset:
    """Return a header with the order's numbers, if it states neither placer nor filler number."""
    requests = items(header, "RequestAttributesSequence")
    places = [header, *requests]
    if len(requests) > 1 or any(text(place, keyword) for place in places for keyword, _, _ in _NUMBERS):
        return header
    if any(_differs(place, order) for place in places):
        return header
    request = deepcopy(requests[0]) if requests else Dataset()
    for keyword, column, longest in (*_NUMBERS, *_PROCEDURE):
        value = str(getattr(order, column) or "").strip()
        stated = any(text(place, keyword) for place in places)
        # A number that is too long would become a different number if it were cut.
        if value and not stated and (len(value) <= longest or keyword == "RequestedProcedureDescription"):
            setattr(request, keyword, value[:longest])
    if not requests and not len(request):
        return header
    changed = copy(header)
    changed.RequestAttributesSequence = [request]
    return changed


def _differs(place: Dataset, order: Order) -> bool:
    """Whether a place in a header contradicts the order's accession number or requested procedure."""
    pairs = (("AccessionNumber", order.accession_number), ("RequestedProcedureID", order.procedure_id))
    return any((stated := text(place, keyword)) and told and stated != told for keyword, told in pairs)
