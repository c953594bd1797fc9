"""Orders from a modality worklist: which entry counts, and the effects of a failing worklist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.identity.order import order_of
from agent.database.identity.patient import Patient
from agent.database.orders import Order, OrderSearch
from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import Job, JobEvent, Study
from agent.foundation.errors import AgentError, WorklistRefused, WorklistUnavailable
from agent.foundation.settings.tree import MwlSettings
from agent.objects.header import STAT_PRIORITY
from agent.ris.entries import choose_entry
from agent.ris.order_search import OrderSearcher
from tests.support.queue_rows import enter

UID, ACCESSION = "1.2.3", "ACC-1"
PATIENT = Patient(patient_id="P1", issuer_of_patient_id="", patient_birth_date="19500101")


def entry(**values: Any) -> Dataset:
    """An entry of a worklist."""
    made = Dataset()
    stated = {
        "AccessionNumber": ACCESSION,
        "PatientID": "P1",
        "PatientName": "CANARY^PATIENT",
        "PatientBirthDate": "19500101",
        "StudyInstanceUID": UID,
        "PlacerOrderNumberImagingServiceRequest": "PL-1",
        "RequestedProcedureID": "RP-1",
        "RequestedProcedureDescription": "Chest PA",
        "RequestedProcedurePriority": "STAT",
        "ReasonForTheRequestedProcedure": "Fever, pneumonia?",
    }
    for keyword, value in (stated | values).items():
        setattr(made, keyword, value)
    return made


def code(meaning: str) -> Dataset:
    """A coded reason."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", meaning
    return item


def chosen(*entries: Dataset) -> tuple[str, str | None]:
    """The code of the choice, and the question."""
    choice = choose_entry(entries, accession_number=ACCESSION, study_instance_uid=UID, patient=PATIENT)
    return choice.code, None if choice.order is None else choice.order.clinical_question


@pytest.mark.parametrize(
    "other",
    [
        {"RequestedProcedureDescription": "Hand PA"},
        {"PatientID": "P2"},
    ],
)
def test_entries_without_numbers_are_told_apart_by_what_they_order(other: dict[str, str]) -> None:
    """A worklist without any order numbers has two orders here, and nothing says which is meant."""
    bare = {"PlacerOrderNumberImagingServiceRequest": "", "RequestedProcedureID": "", "StudyInstanceUID": ""}
    unnamed = Patient(
        patient_id="", issuer_of_patient_id="", patient_birth_date="19500101", patient_name="CANARY^PATIENT"
    )
    for entries in ([entry(**bare), entry(**bare | other)], [entry(**bare | other), entry(**bare)]):
        choice = choose_entry(entries, accession_number=ACCESSION, study_instance_uid=UID, patient=unnamed)
        assert (choice.code, choice.order) == ("order-mismatch", None)


def test_images_that_name_nobody_have_no_order() -> None:
    """An accession number alone does not identify a patient."""
    nobody = Patient(patient_id=" ", issuer_of_patient_id="", patient_birth_date="", patient_name="")
    choice = choose_entry([entry()], accession_number=ACCESSION, study_instance_uid=UID, patient=nobody)
    assert (choice.code, choice.order) == ("order-mismatch", None)


def test_order_is_as_urgent_as_its_most_urgent_step() -> None:
    """The order in which the worklist lists the steps does not matter."""
    steps = [entry(RequestedProcedurePriority=one) for one in ("ROUTINE", "STAT", "HIGH")]
    for entries in (steps, steps[::-1]):
        choice = choose_entry(entries, accession_number=ACCESSION, study_instance_uid=UID, patient=PATIENT)
        assert choice.order is not None
        assert choice.order.priority == STAT_PRIORITY


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], ("order-none", None)),
        ([entry()], ("order-found", "Fever, pneumonia?")),
        # Steps of one order, and attributes that other servers return without being asked.
        ([entry(), entry(), entry(AccessionNumber="ACC-10")], ("order-found", "Fever, pneumonia?")),
        ([entry(AccessionNumber="ACC-10")], ("order-none", None)),
        # The modality generated its own UID.
        ([entry(StudyInstanceUID="9.9")], ("order-found", "Fever, pneumonia?")),
        # Two orders under one number: the study's own, or none.
        (
            [entry(), entry(StudyInstanceUID="9.9", RequestedProcedureID="RP-2")],
            ("order-found", "Fever, pneumonia?"),
        ),
        (
            [entry(StudyInstanceUID="9.8"), entry(StudyInstanceUID="9.9", RequestedProcedureID="RP-2")],
            ("order-mismatch", None),
        ),
        # Another patient under the same number, or none.
        ([entry(PatientID="P2")], ("order-mismatch", None)),
        ([entry(PatientBirthDate="19510101")], ("order-mismatch", None)),
        ([entry(PatientID="")], ("order-mismatch", None)),
        # Where the question is found.
        (
            [
                entry(
                    ReasonForTheRequestedProcedure="",
                    ReasonForRequestedProcedureCodeSequence=[code("Dyspnea")],
                )
            ],
            ("order-found", "Dyspnea"),
        ),
        (
            [entry(ReasonForTheRequestedProcedure="", AdmittingDiagnosesDescription="COPD")],
            ("order-found", "COPD"),
        ),
        ([entry(ReasonForTheRequestedProcedure="")], ("order-found", "")),
    ],
)
def test_entry_of_the_study_and_of_nobody_else(
    entries: Sequence[Dataset], expected: tuple[str, str | None]
) -> None:
    """An order of another accession number, patient or study is never assigned to the study."""
    assert chosen(*entries) == expected


@pytest.mark.parametrize(
    ("word", "priority"), [("STAT", 0), ("HIGH", 20), ("ROUTINE", 50), ("", 50), ("LOW", 50)]
)
def test_entry_priority_is_that_of_the_queue(word: str, priority: int) -> None:
    """The Requested Procedure Priority becomes the job's priority."""
    choice = choose_entry(
        [entry(RequestedProcedurePriority=word)],
        accession_number=ACCESSION,
        study_instance_uid=UID,
        patient=PATIENT,
    )
    assert choice.order is not None
    assert choice.order.priority == priority


class Worklist:
    """A worklist that gives the set answers, one after the other."""

    def __init__(self, *answers: Sequence[Dataset] | AgentError) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, settings: MwlSettings, accession_number: str) -> Sequence[Dataset]:
        """Answer."""
        self.asked.append(accession_number)
        answer = self.answers.pop(0)
        if isinstance(answer, AgentError):
            raise answer
        return answer


def study_with(database: Database, accession: str = ACCESSION, state: JobState = JobState.RECEIVING) -> int:
    """A study that has just been received."""
    with database.transaction() as session:
        job = enter(session, UID, state=state)
        study = session.get_one(Study, job.study_id)
        study.accession_number, study.patient_id, study.patient_birth_date = accession, "P1", "19500101"
        return study.id


def searcher(database: Database, worklist: Worklist, **values: Any) -> OrderSearcher:
    """The searcher that queries that worklist."""
    settings = MwlSettings(host="127.0.0.1", **values)
    return OrderSearcher(database, settings, worklist)


def due_again(database: Database) -> None:
    """End the wait for the next attempt."""
    with database.transaction() as session:
        search = session.scalars(select(OrderSearch)).one()
        search.next_at = search.begun_at


def test_order_is_found_while_the_images_come(database: Database) -> None:
    """The order is assigned to the study, its job gets the order's priority, and the history records it."""
    study_id, worklist = study_with(database), Worklist([entry()])
    one = searcher(database, worklist)
    assert (one.run_once(), one.run_once(), worklist.asked) == (1, 0, [ACCESSION])
    with database.reading() as session:
        order = order_of(session, session.get_one(Study, study_id))
        assert order is not None
        assert (order.clinical_question, order.placer_number, order.procedure, order.message_id) == (
            "Fever, pneumonia?",
            "PL-1",
            "Chest PA",
            None,
        )
        assert session.scalars(select(Job.priority)).one() == 0
        assert session.scalars(select(JobEvent.code).order_by(JobEvent.id.desc())).first() == "order-found"


def test_study_without_an_entry_is_asked_for_once(database: Database) -> None:
    """A miss is not a failure: no order, nothing in the history, and no second query."""
    study_with(database)
    worklist = Worklist([])
    one = searcher(database, worklist)
    assert (one.run_once(), one.run_once()) == (1, 0)
    with database.reading() as session:
        assert session.scalars(select(OrderSearch.code)).one() == "order-none"
        assert session.scalars(select(Order)).all() == []
        assert "order-none" not in session.scalars(select(JobEvent.code)).all()


@pytest.mark.parametrize("accession", ["", "A*", "A?", "A\\B"])
def test_study_without_a_usable_number_is_not_asked_for(database: Database, accession: str) -> None:
    """A wildcard would match other patients' orders."""
    study_with(database, accession)
    worklist = Worklist()
    searcher(database, worklist).run_once()
    assert worklist.asked == []


def test_order_that_is_known_is_not_asked_for(database: Database) -> None:
    """An order that HL7 has sent needs no query."""
    study_id, first = study_with(database), Worklist([entry()])
    searcher(database, first).run_once()
    with database.transaction() as session:
        session.delete(session.get_one(OrderSearch, study_id))
    second = Worklist()
    assert searcher(database, second).run_once() == 1
    assert second.asked == []


def test_worklist_that_fails_is_asked_again_and_delays_nothing(database: Database) -> None:
    """A failure leaves the job as it was; another process continues the same search and finds the order."""
    study_id = study_with(database, state=JobState.QUEUED)
    with database.reading() as session:
        before = session.scalars(select(Job.run_after)).one()
    failing = Worklist(WorklistUnavailable("down"))
    assert searcher(database, failing).run_once() == 1
    with database.reading() as session:
        assert session.scalars(select(Job.run_after)).one() == before
        search = session.get_one(OrderSearch, study_id)
        assert (search.code, search.ended_at, search.attempts) == ("worklist-unavailable", None, 1)
        assert search.next_at > search.begun_at
    due_again(database)
    assert searcher(database, Worklist([entry()])).run_once() == 1
    with database.reading() as session:
        assert session.get_one(OrderSearch, study_id).code == "order-found"


def test_worklist_that_keeps_refusing_is_given_up(database: Database) -> None:
    """After `give_up_after_s` the search ends, and the history records it."""
    study_id = study_with(database)
    searcher(database, Worklist(WorklistRefused("no")), give_up_after_s=1e-6).run_once()
    with database.reading() as session:
        assert session.get_one(OrderSearch, study_id).ended_at is not None
        assert session.scalars(select(JobEvent.code).order_by(JobEvent.id.desc())).first() == "order-given-up"


def test_worklist_that_is_down_is_left_alone_for_a_while(database: Database) -> None:
    """After several outages in a row other studies do not wait for a timeout each."""
    study_with(database)
    worklist = Worklist(*(WorklistUnavailable("down") for _ in range(20)))
    one = searcher(database, worklist)
    for _ in range(10):
        due_again(database) if worklist.asked else None
        one.run_once()
    assert len(worklist.asked) < 10
