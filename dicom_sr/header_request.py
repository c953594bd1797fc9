"""The identifiers of the patient and the orders in a document's header, with their issuers.

Source: PS3.3 C.7.1.1 (Patient), 10.14, 10.15.1 (issuers), C.17.2 (Referenced Request Sequence).
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr.authority import Authority, Qualifiers
from dicom_sr.elements import shortened
from dicom_sr.orders import Order
from dicom_sr.source import StudyHeader


def patient_identifiers(document: Dataset, header: StudyHeader) -> None:
    """Write the issuer of the Patient ID, and the patient's other identifiers."""
    if header.issuer_of_patient_id:
        document.IssuerOfPatientID = header.issuer_of_patient_id
    if header.issuer_qualifiers is not None:
        document.IssuerOfPatientIDQualifiersSequence = [_qualifiers(header.issuer_qualifiers)]
    others = []
    for one in header.other_patient_ids:
        item = Dataset()
        item.PatientID = one.patient_id
        if one.issuer:
            item.IssuerOfPatientID = one.issuer
        item.TypeOfPatientID = one.kind or "TEXT"
        if one.qualifiers is not None:
            item.IssuerOfPatientIDQualifiersSequence = [_qualifiers(one.qualifiers)]
        others.append(item)
    if others:
        document.OtherPatientIDsSequence = others


def requests(header: StudyHeader) -> list[Dataset]:
    """One item for each order, the main one first; one empty item if no order is named."""
    orders = header.orders.orders or (Order(),)
    return [_request(order, header.study_instance_uid) for order in orders]


def authority_items(authority: Authority) -> list[Dataset]:
    """The one item of a sequence that names an assigning authority."""
    item = Dataset()
    if authority.local:
        item.LocalNamespaceEntityID = authority.local
    if authority.universal:
        item.UniversalEntityID = authority.universal
        item.UniversalEntityIDType = authority.universal_type
    return [item]


def _request(order: Order, study_instance_uid: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = order.study_instance_uid or study_instance_uid
    item.ReferencedStudySequence = []
    item.AccessionNumber = order.accession_number
    for keyword, issuer, number in (
        ("IssuerOfAccessionNumberSequence", order.accession_issuer, order.accession_number),
        ("OrderPlacerIdentifierSequence", order.placer_issuer, order.placer_order_number),
        ("OrderFillerIdentifierSequence", order.filler_issuer, order.filler_order_number),
    ):
        if issuer is not None and number:
            setattr(item, keyword, authority_items(issuer))
    item.PlacerOrderNumberImagingServiceRequest = order.placer_order_number
    item.FillerOrderNumberImagingServiceRequest = order.filler_order_number
    item.RequestedProcedureID = order.requested_procedure_id
    item.RequestedProcedureDescription = order.requested_procedure_description
    item.RequestedProcedureCodeSequence = _codes(order.requested_procedure_code)
    if order.clinical_question:
        item.ReasonForTheRequestedProcedure = shortened(order.clinical_question, 64)
    return item


def _codes(code: Code | None) -> list[Dataset]:
    if code is None:
        return []
    item = Dataset()
    setattr(item, "CodeValue" if len(code.value) <= 16 else "LongCodeValue", code.value)
    item.CodingSchemeDesignator, item.CodeMeaning = code.scheme_designator, code.meaning
    return [item]


def _qualifiers(one: Qualifiers) -> Dataset:
    item = Dataset()
    if one.universal:
        item.UniversalEntityID, item.UniversalEntityIDType = one.universal, one.universal_type
    if one.identifier_type:
        item.IdentifierTypeCode = one.identifier_type
    if one.facility is not None:
        item.AssigningFacilitySequence = authority_items(one.facility)
    return item
