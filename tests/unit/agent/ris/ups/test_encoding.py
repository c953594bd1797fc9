"""Query responses are encoded from DICOM JSON exactly as pydicom encodes the same data set."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import Dataset as Item
from pynetdicom.dsutils import encode

from agent.foundation.errors import WorkitemInvalid
from agent.ris.ups.encoding import as_encoded


def workitem() -> Dataset:
    """Attributes of every kind: texts, names, numbers, tags, bytes, nested sequences, empty ones."""
    code = Item()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Größe"
    code.LongCodeValue = "x" * 17
    value = Item()
    value.ConceptNameCodeSequence = [code]
    value.NumericValue = ["1.5", "0.0000001"]
    value.FloatingPointValue, value.RationalNumeratorValue, value.ReferencedFrameNumber = 2.5, 3, [1, 2]
    value.TextValue = "長い" * 40_000
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName = "Müller^Jörg=山田^太郎="
    dataset.PatientID, dataset.PatientBirthDate, dataset.OtherPatientNames = "P1", None, ["A^B", "Ç"]
    dataset.PatientWeight, dataset.InstanceNumber = "71.25", 7
    dataset.FrameIncrementPointer = 0x00181063
    dataset.ScheduledProcedureStepStartDateTime = "20261128080000.000000+0000"
    dataset.ScheduledProcessingParametersSequence = [value, Item(), value]
    dataset.InputInformationSequence = []
    dataset.add_new(0x00091010, "OB", b"\x01\x02\x03\x04")
    dataset.add_new(0x00091011, "UN", b"\x05\x06")
    dataset.RetrieveURL = "https://example.org/x"
    return dataset


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.filterwarnings("ignore:The value for the data element")
def test_as_encoded_writes_the_bytes_of_pydicom(implicit: bool) -> None:
    """All value representations, at the top and in sequences, in both transfer syntaxes."""
    content = workitem().to_json_dict()
    expected = encode(Dataset.from_json(content), implicit, True)
    assert expected == as_encoded(content, implicit=implicit)


@pytest.mark.parametrize(
    "content",
    [
        {"0010": {"vr": "LO"}},
        {"00100020": {"Value": ["P"]}},
        {"00100020": {"vr": "LO", "Value": [{"Alphabetic": "x"}]}},
        {"00100010": {"vr": "PN", "Value": ["x"]}},
        {"00400001": {"vr": "SQ", "Value": ["x"]}},
    ],
)
def test_as_encoded_refuses_what_is_no_dataset(content: dict[str, Any]) -> None:
    """It is refused with our own error, so that the peer receives a status."""
    with pytest.raises(WorkitemInvalid):
        as_encoded(content, implicit=True)
