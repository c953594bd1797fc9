"""Our queries to an archive, and how its answers are treated."""

from __future__ import annotations

import time

import pytest
from pynetdicom.dimse_primitives import C_FIND

from agent.foundation.errors import ArchiveRefused
from agent.network.query_scu import FIND, Archive, open_archive
from agent.network.scu import associated
from tests.integration.priors.site import FakeArchive, film

pytestmark = pytest.mark.integration


def test_answer_is_kept_for_who_asked() -> None:
    """The association's own thread does not remove an answer from the queue."""
    answer = C_FIND()
    answer.MessageIDBeingRespondedTo, answer.Status = 1, 0xFF00
    with FakeArchive().running() as settings, associated(settings, [FIND]) as association:
        association.dimse.msg_queue.put((1, answer))
        time.sleep(0.1)
        assert association.dimse.msg_queue.qsize() == 1
        association.abort()


def test_answers_are_cut_to_plain_values() -> None:
    """Series and instances keep their UIDs; an absent count is unknown."""
    image = film("QUERY/1")
    with FakeArchive(answers=[image]).running() as settings, open_archive(settings, 20) as archive:
        found = archive.study(image.StudyInstanceUID)
        assert found is not None
        assert (found.patient_id, found.modalities, found.instances) == ("QUERY", ("DX",), None)
        (series,) = archive.series(image.StudyInstanceUID)
        (instance,) = archive.instances(image.StudyInstanceUID, series.series_instance_uid)
        assert instance.sop_instance_uid == image.SOPInstanceUID
        assert archive.study("1.2.3") is None


def test_flood_of_answers_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that gives too many answers is refused."""
    monkeypatch.setattr("agent.network.query_scu.MOST_ANSWERS", 5)
    answers = [film(f"FLOOD/{number}") for number in range(10)]
    with (
        FakeArchive(answers=answers).running() as settings,
        open_archive(settings, 20) as archive,
        pytest.raises(ArchiveRefused, match="more than 5 answers"),
    ):
        ask(archive)


def test_archive_without_query_or_retrieval_is_refused() -> None:
    """An application that offers neither is reported."""
    with (
        FakeArchive().running(offers=False) as settings,
        pytest.raises(ArchiveRefused, match="offers no query"),
        open_archive(settings, 20) as archive,
    ):
        ask(archive)


def ask(archive: Archive) -> None:
    """Ask for a patient's studies."""
    archive.studies(patient_id="X", issuer_of_patient_id="", since="20000101", until="20300101")
