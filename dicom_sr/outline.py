"""Any Structured Report as a readable tree: ours, dcmqi's, highdicom's, or a damaged one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_sr import tree
from dicom_sr.charset import source_text

_RELATIONSHIP_WORDS = {
    "CONTAINS": "",
    "HAS CONCEPT MOD": "concept: ",
    "HAS OBS CONTEXT": "context: ",
    "HAS ACQ CONTEXT": "acquired: ",
    "HAS PROPERTIES": "property: ",
    "INFERRED FROM": "inferred from: ",
    "SELECTED FROM": "selected from: ",
}
_PATIENT_NAME, _STUDY_DESCRIPTION, _SERIES_DESCRIPTION = 0x00100010, 0x00081030, 0x0008103E
_REFERENCES = {
    "CurrentRequestedProcedureEvidenceSequence": "Evidence",
    "PertinentOtherEvidenceSequence": "Priors",
    "PredecessorDocumentsSequence": "Replaces",
}
_PLAIN_VALUES = {
    "TEXT": "TextValue",
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}


def outline(document: Dataset) -> str:
    """The document's header in a few lines, then one line per content item, indented by depth.

    Raises:
        NotStructuredReportError: the object has no content tree.
    """
    tree.require_document(document)
    title = tree.code(document, "ConceptNameCodeSequence")
    lines = [*_header(document), "", "(untitled)" if title is None else title.meaning]
    lines.extend(_lines(document, 1))
    return "\n".join(lines)


def _header(document: Dataset) -> Iterator[str]:
    sop_class = UID(tree.words(document, "SOPClassUID")).name
    flags = (tree.words(document, f"{flag}Flag") for flag in ("Completion", "Verification", "Preliminary"))
    yield f"{sop_class}: {' '.join(flag for flag in flags if flag)}"
    name = source_text(document, _PATIENT_NAME, is_name=True)
    shown = [
        ("Patient", name, f"[{tree.words(document, 'PatientID')}]", tree.words(document, "PatientBirthDate")),
        ("Study", tree.words(document, "StudyDate"), source_text(document, _STUDY_DESCRIPTION)),
        ("Accession", tree.words(document, "AccessionNumber")),
        ("Series", tree.words(document, "SeriesNumber"), source_text(document, _SERIES_DESCRIPTION)),
        ("Written", tree.words(document, "ContentDate"), tree.words(document, "ContentTime")),
    ]
    shown.extend(
        ("Verified", tree.words(one, "VerificationDateTime"), tree.words(one, "VerifyingObserverName"))
        for one in tree.items(document, "VerifyingObserverSequence")
    )
    for keyword, label in _REFERENCES.items():
        counts = _references(document, keyword)
        if counts:
            shown.append((label, ", ".join(f"{count} × {what}" for what, count in counts.items())))
    for label, *values in shown:
        yield f"{label:<10}{' '.join(value for value in values if value)}".rstrip()


def _references(document: Dataset, keyword: str) -> Counter[str]:
    return Counter(
        UID(tree.words(instance, "ReferencedSOPClassUID")).name
        for study in tree.items(document, keyword)
        for series in tree.items(study, "ReferencedSeriesSequence")
        for instance in tree.items(series, "ReferencedSOPSequence")
    )


def _lines(item: Dataset, depth: int) -> Iterator[str]:
    for child in tree.children(item):
        yield "  " * depth + _line(child)
        yield from _lines(child, depth + 1)


def _line(item: Dataset) -> str:
    relationship = tree.words(item, "RelationshipType")
    prefix = _RELATIONSHIP_WORDS.get(relationship, f"{relationship.lower()}: ")
    name = tree.code(item, "ConceptNameCodeSequence")
    label = "" if name is None else name.meaning
    shown = _shown(item)
    separator = ": " if label and shown else ""
    return f"{prefix}{label}{separator}{shown}" or "(empty item)"


def _shown(item: Dataset) -> str:
    kind = tree.words(item, "ValueType")
    if kind == "CONTAINER":
        return ""
    if kind in _PLAIN_VALUES:
        return tree.words(item, _PLAIN_VALUES[kind])
    if kind == "CODE":
        code = tree.code(item, "ConceptCodeSequence")
        return "(no code)" if code is None else f"{code.meaning} ({code.scheme_designator} {code.value})"
    if kind == "NUM":
        return _measured(item)
    if kind in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        return ", ".join(map(_referenced, tree.items(item, "ReferencedSOPSequence")))
    if kind in {"SCOORD", "SCOORD3D", "TCOORD"}:
        points = tree.words(item, "GraphicData").count(",") + 1
        return f"{tree.words(item, 'GraphicType') or tree.words(item, 'TemporalRangeType')}, {points} numbers"
    return f"({kind or 'no value type'})"


def _measured(item: Dataset) -> str:
    measured = next(iter(tree.items(item, "MeasuredValueSequence")), None)
    if measured is None:
        qualifier = tree.code(item, "NumericValueQualifierCodeSequence")
        return "(no value)" if qualifier is None else f"({qualifier.meaning})"
    unit = tree.code(measured, "MeasurementUnitsCodeSequence")
    return f"{tree.words(measured, 'NumericValue')} {'' if unit is None else unit.value}".rstrip()


def _referenced(instance: Dataset) -> str:
    sop_class = UID(tree.words(instance, "ReferencedSOPClassUID")).name
    return f"{sop_class} {tree.words(instance, 'ReferencedSOPInstanceUID')}"
