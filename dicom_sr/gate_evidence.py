"""The gate's rules on references: all of them resolve, to the same study and patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_sr import tree
from dicom_sr.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    study: str
    series: str
    sop_class: str
    instance: str


def evidence_problems(document: Dataset, sources: Sequence[Dataset] | None) -> Iterator[Problem]:
    """`sources` are the headers of objects that may be referenced; without them only the document is
    checked."""
    study = tree.words(document, "StudyInstanceUID")
    current = list(_references(document, "CurrentRequestedProcedureEvidenceSequence"))
    priors = list(_references(document, "PertinentOtherEvidenceSequence"))
    if not current:
        yield _problem("evidence", "CurrentRequestedProcedureEvidenceSequence", "must name the images")
    if any(reference.study != study for reference in current):
        yield _problem(
            "evidence_study", "CurrentRequestedProcedureEvidenceSequence", "must be of the document's study"
        )
    if any(reference.study == study for reference in priors):
        yield _problem("evidence_study", "PertinentOtherEvidenceSequence", "must be of other studies")
    listed = {reference.instance: reference for reference in [*current, *priors]}
    yield from _content_references(document, listed)
    own = tree.words(document, "SOPInstanceUID")
    if own in listed or any(
        reference.instance == own for reference in _references(document, "PredecessorDocumentsSequence")
    ):
        yield _problem("self_reference", "SOPInstanceUID", "the document must not refer to itself")
    if sources is not None:
        yield from _resolution(document, [*current, *priors], sources)


def _content_references(document: Dataset, listed: dict[str, _Reference]) -> Iterator[Problem]:
    for item in tree.descendants(document):
        for referenced in tree.items(item, "ReferencedSOPSequence"):
            instance = listed.get(tree.words(referenced, "ReferencedSOPInstanceUID"))
            if instance is None:
                yield _problem("evidence_missing", "ContentSequence", "refers to an instance not in evidence")
            elif instance.sop_class != tree.words(referenced, "ReferencedSOPClassUID"):
                yield _problem("evidence_class", "ContentSequence", "names another SOP Class than evidence")


def _resolution(
    document: Dataset, references: Sequence[_Reference], sources: Sequence[Dataset]
) -> Iterator[Problem]:
    by_instance = {tree.words(source, "SOPInstanceUID"): source for source in sources}
    patient = tree.words(document, "PatientID")
    for reference in references:
        source = by_instance.get(reference.instance)
        if source is None:
            yield _problem("evidence_unresolved", "evidence", "refers to an instance that is not there")
            continue
        found = _Reference(
            study=tree.words(source, "StudyInstanceUID"),
            series=tree.words(source, "SeriesInstanceUID"),
            sop_class=tree.words(source, "SOPClassUID"),
            instance=reference.instance,
        )
        if found != reference:
            yield _problem("evidence_mismatch", "evidence", "study, series or SOP Class differ at the source")
        if tree.words(source, "PatientID") not in ("", patient):
            yield _problem("evidence_patient", "PatientID", "evidence is of another patient")


def _references(document: Dataset, keyword: str) -> Iterator[_Reference]:
    for study in tree.items(document, keyword):
        for series in tree.items(study, "ReferencedSeriesSequence"):
            for instance in tree.items(series, "ReferencedSOPSequence"):
                yield _Reference(
                    study=tree.words(study, "StudyInstanceUID"),
                    series=tree.words(series, "SeriesInstanceUID"),
                    sop_class=tree.words(instance, "ReferencedSOPClassUID"),
                    instance=tree.words(instance, "ReferencedSOPInstanceUID"),
                )


def _problem(code: str, where: str, text: str) -> Problem:
    return Problem(code=code, where=where, text=text)
