"""Answers to a C-FIND on the wire: complete in PDUs of any length, and only while the peer is there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE

from agent.database.session import Database
from agent.foundation.settings.tree import ListenerSettings
from agent.ris.ups.manager import Manager
from agent.ris.ups.query_string import read_query
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.terms import PULL
from tests.support.ups import scheduled
from tests.support.waiting import wait_for

EVERYTHING = read_query([]).keys


class Endless(Manager):
    """A worklist with an endless number of answers."""

    def find(self, keys: Dataset, **page: Any) -> Iterator[dict[str, Any]]:
        """Yield the same workitem repeatedly."""
        (found,) = islice(super().find(keys), 1)
        return repeat(found)


def found_by(port: int, *, longest: int, syntax: str) -> list[Dataset]:
    """Every answer, as received by a client that takes PDUs of at most `longest` bytes."""
    entity = AE(ae_title="READER")
    entity.maximum_pdu_size = longest
    entity.add_requested_context(PULL, syntax)
    association = entity.associate("127.0.0.1", port, ae_title="ECHO_UPS")
    answers = [(status.Status, item) for status, item in association.send_c_find(EVERYTHING, PULL)]
    association.release()
    assert [status for status, _ in answers] == [0xFF00] * (len(answers) - 1) + [0x0000]
    return [item for _, item in answers if item is not None]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("longest", [0, 256, 16382])
def test_answers_are_complete_in_pdus_of_any_length(database: Database, longest: int, syntax: str) -> None:
    """Fragments have the client's maximum length (0: no limit); each answer is what the search found."""
    manager = Manager(database)
    for number in range(20):
        manager.create(f"1.2.9.{number}", scheduled(PatientName=f"Müller^{number}"))
    expected = [Dataset.from_json(one) for one in manager.find(EVERYTHING)]
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    try:
        assert found_by(scp.start(), longest=longest, syntax=syntax) == expected
    finally:
        scp.stop()


def test_peer_that_goes_away_ends_its_search(database: Database) -> None:
    """An association aborted in the middle of the answers is soon free again, and no error is counted."""
    manager = Endless(database)
    manager.create("1.2.9", scheduled())
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    entity = AE(ae_title="READER")
    entity.add_requested_context(PULL)
    try:
        association = entity.associate("127.0.0.1", scp.start(), ae_title="ECHO_UPS")
        answers = association.send_c_find(EVERYTHING, PULL)
        assert [status.Status for status, _ in islice(answers, 40)] == [0xFF00] * 40
        association.abort()
        wait_for(lambda: scp.about()["associations"] == 0)
        assert "protocol-error" not in scp.about()["counts"]
    finally:
        scp.stop()
