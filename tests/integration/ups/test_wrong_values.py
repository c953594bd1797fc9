"""Each attribute of a workitem with a wrong VR or garbage: refused by name, and no other workitem is lost."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_dict
from pydicom.dataelem import DataElement

from agent.ris.ups.foreign import misread
from agent.ris.ups.manager import Manager
from agent.ris.ups.records import as_dataset, as_json
from agent.ris.ups.terms import StepState, UpsStatus
from tests.support.films import dataset_bytes
from tests.support.ups import scheduled

WRONG: tuple[tuple[str, object], ...] = (
    ("US", 7),
    ("FD", 1.5),
    ("SQ", [Dataset()]),
    ("OB", b"\xff\x00\xfe\x01"),
    ("IS", "9999999999999999999"),
    ("LO", "rubbish\\more"),
)
REFUSED = {
    UpsStatus.INVALID_VALUE,
    UpsStatus.MISSING_ATTRIBUTE,
    UpsStatus.MISSING_VALUE,
    UpsStatus.NOT_SCHEDULED,
    UpsStatus.ATTRIBUTE_LIST_ERROR,
}


def decoded(dataset: Dataset) -> Dataset:
    """The dataset as it comes from the network, with undecoded elements."""
    return dcmread(BytesIO(dataset_bytes(dataset)), force=True)


def wrong_ones(dataset: Dataset) -> Iterator[tuple[str, str, Dataset]]:
    """The dataset with each attribute, on the top level and in items, given each wrong value."""
    outer = [(element.keyword, "") for element in dataset]
    inner = [
        (one.keyword, element.keyword)
        for element in dataset
        if element.VR == "SQ"
        for item in element.value[:1]
        for one in item
    ]
    mixed = [(keyword, "InputInformationSequence") for keyword, _ in outer]
    for keyword, sequence in dict.fromkeys(outer + inner + mixed):
        for vr, value in WRONG:
            changed = deepcopy(dataset)
            target = changed[sequence].value[0] if sequence else changed
            element = DataElement(keyword_dict[keyword], vr, value, validation_mode=0)
            target[element.tag] = element
            yield keyword, vr, decoded(changed)


def test_wrong_values_are_refused_and_harm_no_neighbour(manager: Manager) -> None:
    """A workitem is created or refused with a standard status; the list can be read completely afterwards."""
    unexpected, created = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (keyword, vr, dataset) in enumerate(wrong_ones(scheduled())):
            reply = manager.create(f"2.25.41.{number}", dataset)
            created += not reply.status.failed
            if reply.status.failed and reply.status not in REFUSED:
                unexpected.append((keyword, vr, reply.status))
    found = [str(one["00080018"]["Value"][0]) for one in manager.find(Dataset(), whole=True)]
    listed = [one for one in found if one.startswith("2.25.41.")]
    assert unexpected == []
    assert created == len(listed)
    assert all(manager.get(one).status is UpsStatus.SUCCESS for one in listed)


def test_wrong_values_of_a_change_leave_the_workitem_as_it_was(manager: Manager, uid: str) -> None:
    """N-SET, cancel requests and subscriptions refuse unreadable values."""
    manager.create(uid, scheduled())
    before = manager.get(uid).dataset
    statuses = set()
    for keyword in ("ScheduledStationNameCodeSequence", "ProcedureStepLabel", "TransactionUID"):
        for vr, value in (("US", 7), ("OB", b"\xff\x00")):
            changes = Dataset()
            changes[keyword_dict[keyword]] = DataElement(keyword_dict[keyword], vr, value)
            statuses.add(manager.update(uid, decoded(changes)).status)
            statuses.add(manager.subscribe(uid, "READER", keys=decoded(changes)).status)
            statuses.add(manager.request_cancel(uid, decoded(changes), "A").status)
    assert statuses == {UpsStatus.INVALID_VALUE, UpsStatus.INVALID_ARGUMENT}
    assert manager.get(uid).dataset == before
    assert manager.change_state(uid, StepState.CANCELED.value, "").status is not UpsStatus.PROCESSING_FAILURE


def test_wrong_values_in_json_are_refused(manager: Manager) -> None:
    """VRs stated in DICOM JSON are refused where they differ from the standard's."""
    content = as_json(scheduled())
    for vr, value in (("LO", ["x"]), ("DS", ["1.5"])):
        content["00404018"] = {"vr": vr, "Value": value}
        dataset = as_dataset(content)
        assert misread(dataset) == ("ScheduledWorkitemCodeSequence",)
        assert manager.create("", dataset).status is UpsStatus.INVALID_VALUE
