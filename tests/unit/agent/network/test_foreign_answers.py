"""Answers of other systems, with an invalid value in every attribute that we read."""

from __future__ import annotations

import warnings

import pytest
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import DataElement

from agent.foundation.errors import AgentError, DeliveryFailed, DeliveryRefused
from agent.network.query_scu import _number, _study
from agent.network.stow_answer import judge_success

WRONG: tuple[tuple[str, object], ...] = (
    ("US", 7), ("FD", 1.5), ("SQ", [Dataset()]), ("OB", b"\xff\x00\xfe\x01"), ("UI", "1.2.3"),
    ("DS", ["1", "2", "3"]), ("LO", "rubbish"), ("IS", "99999999"),
)  # fmt: skip


def with_value(dataset: Dataset, keyword: str, vr: str, value: object) -> Dataset:
    """The dataset with one invalid attribute."""
    dataset[keyword_dict[keyword]] = DataElement(keyword_dict[keyword], vr, value, validation_mode=0)
    return dataset


def stored(answer: Dataset) -> str | None:
    """Return the result of STOW-RS for an answer."""
    return judge_success("application/dicom+json", answer.to_json().encode())


@pytest.mark.parametrize(("vr", "value"), WRONG)
def test_failed_items_that_cannot_be_read_are_never_success(vr: str, value: object) -> None:
    """A document counts as stored only if the answer states no failure, readable or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for answer in (
            with_value(Dataset(), "FailedSOPSequence", vr, value),
            with_value(
                Dataset(), "FailedSOPSequence", "SQ", [with_value(Dataset(), "FailureReason", vr, value)]
            ),
        ):
            with pytest.raises((DeliveryFailed, DeliveryRefused)):
                stored(answer)


@pytest.mark.parametrize(("vr", "value"), WRONG)
def test_warning_that_cannot_be_read_leaves_the_document_stored(vr: str, value: object) -> None:
    """No item about stored instances makes a stored document fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(stored(with_value(Dataset(), "ReferencedSOPSequence", vr, value)), str | None)
        item = with_value(Dataset(), "WarningReason", vr, value)
        assert isinstance(stored(with_value(Dataset(), "ReferencedSOPSequence", "SQ", [item])), str | None)


@pytest.mark.parametrize(("vr", "value"), WRONG)
def test_answers_of_an_archive_are_read_or_absent(vr: str, value: object) -> None:
    """An invalid attribute of an archive's answer counts as absent and never ends the search."""
    for keyword in ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "PatientID", "PatientSex",
                    "NumberOfStudyRelatedInstances"):  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = with_value(Dataset(), keyword, vr, value)
            try:
                found = _study(answer)
            except AgentError as error:
                pytest.fail(error.code)
        assert "Sequence" not in str(found)
        assert _number(answer, "NumberOfSeriesRelatedInstances") is None
