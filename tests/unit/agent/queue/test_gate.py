"""The gate before the queue: no transition into QUEUED bypasses it, whatever queues the job."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from sqlalchemy import select, update

import agent
from agent.database.session import database_now
from agent.database.states import JobState
from agent.database.tables import AuditEvent, Draft, Job, JobEvent, Study
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import (
    AgentError,
    InvalidTransition,
    NotAChestStudy,
    NotFound,
    PatientConflict,
)
from agent.foundation.failure import Failure, RetryPolicy
from agent.foundation.settings.tree import Settings
from agent.operations.history import list_jobs
from agent.operations.status import read_status
from agent.queue import jobs, operator
from agent.queue.states import TRANSITIONS, move
from agent.receive.complete_study import complete_due_studies
from tests.support.house import FakeReporter, House, image
from tests.support.operator_context import operator_context_of

UID = "1.2.3.1"
AGAIN = Failure(code="oops", reason="it did not work", retryable=True)


def alpha(**attributes: object) -> Dataset:
    """A frontal film of patient PA."""
    return image(1, 1, **{"PatientID": "PA", "PatientName": "Alpha^A"} | attributes)


def beta(**attributes: object) -> Dataset:
    """A frontal film of patient PB, in the same study."""
    return image(1, 2, **{"PatientID": "PB", "PatientName": "Beta^B"} | attributes)


def put(house: House, job_id: int, state: JobState) -> None:
    """Put a job into a state without the gate, as an older version may have left it."""
    with house.database.transaction() as session:
        now = database_now(session)
        values: dict[str, object] = {"state": state.value, "attempts": 1, "run_after": now}
        if state is JobState.GENERATING:
            values |= {"lease_owner": "w", "lease_token": "t", "lease_until": now - timedelta(seconds=1)}
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def complete(house: House) -> None:
    """Complete every study, as housekeeping does after the quiet time."""
    with house.database.reading() as session:
        later = database_now(session) + timedelta(hours=1)
    complete_due_studies(house.database, Settings(), house.store, later)


def retry(house: House, job_id: int) -> None:
    """Retry a job, as every command and page does."""
    try:
        operator.retry(operator_context_of(house.database, house.store), job_id, actor="admin")
    except AgentError as error:
        assert error.code == "patient-conflict"  # noqa: PT017 - any other refusal would prove nothing


def claim_of(house: House, job_id: int) -> jobs.Claim:
    """The claim that a worker has."""
    with house.database.reading() as session:
        job = session.get_one(Job, job_id)
        return jobs.Claim(
            job_id=job.id,
            token="t",
            study_id=job.study_id,
            study_instance_uid=UID,
            revision=job.revision,
            priority=50,
            attempts=1,
            incomplete=False,
        )


def fail(house: House, job_id: int) -> None:
    """Fail a job with a retryable error."""
    jobs.fail(house.database, claim_of(house, job_id), AGAIN, RetryPolicy(), chance=Random(1))


WAYS: dict[str, list[Callable[[House, int], object]]] = {
    "RECEIVING": [lambda house, _job: complete(house)],
    "GENERATING": [
        fail,
        lambda house, job_id: jobs.release(house.database, [claim_of(house, job_id)]),
        lambda house, _job: jobs.reclaim_expired(house.database),
        lambda house, _job: jobs.claim(house.database, "other", 60, 1),
    ],
    "SKIPPED": [retry],
    "FAILED": [retry],
    "DEAD": [retry],
    "CANCELED": [retry],
}


def test_gate_has_a_test_of_every_transition_into_the_queue() -> None:
    """A new transition into QUEUED has to be listed here."""
    assert {step.before for step in TRANSITIONS if step.after == JobState.QUEUED} == set(WAYS)


@pytest.mark.parametrize(
    ("before", "way"), [(before, way) for before, ways in WAYS.items() for way in range(len(ways))]
)
def test_gate_lets_no_study_of_two_patients_into_the_queue(house: House, before: str, way: int) -> None:
    """One Study UID with PA/Alpha and PB/Beta is never queued, from any state or by any transition."""
    house.receive(alpha())
    job_id = house.receive(beta())
    put(house, job_id, JobState(before))
    WAYS[before][way](house, job_id)
    with house.database.reading() as session:
        assert session.get_one(Job, job_id).state in {"FAILED", before} - {"QUEUED", "GENERATING"}
        entered = session.scalars(select(JobEvent.to_state).where(JobEvent.job_id == job_id)).all()
    assert "QUEUED" not in entered


def test_gate_is_asked_again_before_a_draft(house: House) -> None:
    """A queued job, however it was queued, is judged when a worker claims it."""
    house.receive(alpha())
    job_id = house.receive(beta())
    put(house, job_id, JobState.QUEUED)
    worker = DraftingWorker(house.database, house.store, Settings(), FakeReporter())  # type: ignore[arg-type]
    worker.run_once()
    job = house.job(job_id)
    assert (job.state, job.code) == ("FAILED", "patient-conflict")
    with house.database.reading() as session:
        assert session.scalars(select(Draft.id)).all() == []


def test_gate_is_asked_again_before_a_draft_is_written(house: House) -> None:
    """A correction that arrives while the network drafts makes that draft invalid."""
    job_id = house.queued(alpha())
    reporter = FakeReporter(before=lambda study: house.receive(alpha(PatientID="PB", PatientName="Beta^B")))
    DraftingWorker(house.database, house.store, Settings(), reporter).run_once()  # type: ignore[arg-type]
    assert (house.job(job_id).state, house.job(job_id).code) == ("FAILED", "patient-conflict")
    with house.database.reading() as session:
        assert session.scalars(select(Draft.id)).all() == []


def test_move_into_the_queue_needs_the_gate(house: House) -> None:
    """The one function that changes states refuses a job that the gate has not admitted."""
    job_id = house.receive(alpha())
    with house.database.transaction() as session, pytest.raises(InvalidTransition):
        move(session, session.get_one(Job, job_id), JobState.QUEUED, now=database_now(session))


def test_only_the_gate_says_that_a_job_is_admitted() -> None:
    """No other file of the service passes `admitted`, and none writes the state itself."""
    root = Path(agent.__path__[0])
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _admits(node)
    }
    assert found == {"queue/gate.py"}


def _admits(node: ast.AST) -> bool:
    """Whether a call passes `admitted`, or `state="QUEUED"` in any form."""
    if not isinstance(node, ast.Call):
        return False
    named = {one.arg: ast.unparse(one.value) for one in node.keywords}
    return "admitted" in named or ("QUEUED" in named.get("state", "") and "values" in ast.unparse(node.func))


def test_only_the_state_machine_writes_the_state_of_a_job() -> None:
    """No statement, attribute or SQL text elsewhere sets it, so each transition into QUEUED uses `move`."""
    root = Path(agent.__path__[0])
    writers = {
        (str(path.relative_to(root)), how)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (how := _writes_state(node)) is not None
    }
    # Rows of other tables have their own states.
    others = {
        ("queue/deliveries.py", "delivery.state"),
        ("queue/withdrawal.py", "delivery.state"),
        ("retrieve/backfill/claims.py", "row.state"),
        ("ris/ups/events.py", "workitem.state"),
        ("shadow/challenger.py", "row.state"),
    }
    assert writers == {("queue/states.py", "job.state")} | others


def _writes_state(node: ast.AST) -> str | None:
    """How this code sets a state: by an attribute, a new `Job`, `update(Job)` or SQL; otherwise None."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [one for target in targets for one in ast.walk(target)]
        return next(
            (
                ast.unparse(one)
                for one in flat
                if isinstance(one, ast.Attribute)
                and one.attr == "state"
                and isinstance(one.ctx, ast.Store)
                and ast.unparse(one.value) != "self"
            ),
            None,
        )
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        sql = re.search(
            r"(update\s+jobs\b.*\bset\b.*\bstate|insert\s+into\s+jobs\b)", node.value, re.I | re.S
        )
        return "SQL" if sql else None
    if not isinstance(node, ast.Call):
        return None
    called = ast.unparse(node.func)
    named = {one.arg for one in node.keywords}
    if called in ("Job", "tables.Job"):
        return called if "state" in named else None
    if called in ("setattr",) and len(node.args) > 1 and "state" in ast.unparse(node.args[1]):
        return called
    to_jobs = re.search(r"\b(update|insert)\((tables\.)?Job\)", called) is not None and called.endswith(
        ".values"
    )
    spread = None in named or any("state" in ast.unparse(one) for one in node.args)
    return "update(Job)" if to_jobs and ("state" in named or spread) else None


@pytest.mark.parametrize("how", ["FAILED", "DEAD", "CANCELED", "SKIPPED"])
def test_retry_of_a_study_that_may_be_drafted_brings_its_job_back(house: House, how: str) -> None:
    """A stopped job without a draft starts again, with all of its attempts."""
    job_id = house.receive(alpha())
    put(house, job_id, JobState(how))
    assert (
        operator.retry(operator_context_of(house.database, house.store), job_id, actor="me")
        is JobState.QUEUED
    )
    assert (house.job(job_id).state, house.job(job_id).attempts) == ("QUEUED", 0)


def test_retry_of_a_study_that_is_not_eligible_stays_shut(house: House) -> None:
    """A person's request does not make a study eligible."""
    job_id = house.receive(alpha(BodyPartExamined="HIP"))
    complete(house)
    with pytest.raises(NotAChestStudy):
        operator.retry(operator_context_of(house.database, house.store), job_id, actor="me")
    assert house.job(job_id).state == "SKIPPED"


def test_retry_of_an_older_revision_is_refused(house: House) -> None:
    """The content of an older revision may be another patient's, so only the newest is drafted."""
    first = house.receive(alpha())
    house.receive(beta())
    complete(house)
    newest = house.receive(beta(PatientID="PA", PatientName="Alpha^A"))
    complete(house)
    assert (house.job(first).state, house.job(newest).state) == ("FAILED", "QUEUED")
    with pytest.raises(InvalidTransition, match="newer"):
        operator.retry(operator_context_of(house.database, house.store), first, actor="me")


def test_conflict_ends_with_a_correction(house: House) -> None:
    """The newest content of each instance counts: sent again with the right patient, the study is drafted."""
    house.receive(alpha())
    job_id = house.receive(beta())
    complete(house)
    assert house.job(job_id).code == "patient-conflict"
    newest = house.receive(alpha(PatientID="PB", PatientName="Beta^B"))
    complete(house)
    with house.database.reading() as session:
        study = session.scalars(select(Study)).one()
    assert (house.job(newest).state, study.patient_id, study.conflict) == ("QUEUED", "PB", None)


def test_conflict_that_has_ended_asks_nothing_of_a_person(house: House) -> None:
    """The job of the corrected revision stays in the history, but in no list of open tasks."""
    house.receive(alpha())
    stopped = house.receive(beta())
    complete(house)

    def to_do() -> tuple[int, int, list[int]]:
        status = read_status(house.database, Settings())
        listed = list_jobs(house.database, state=JobState.FAILED, limit=9, for_a_person=True)
        return status.jobs["FAILED"], len(status.troubles), [line.job_id for line in listed]

    assert to_do() == (1, 1, [stopped])
    house.receive(beta(PatientID="PA", PatientName="Alpha^A"))
    assert to_do() == (0, 0, [])
    complete(house)
    assert (house.job(stopped).state, to_do()) == ("FAILED", (0, 0, []))


def test_correction_can_be_taken_back(house: House) -> None:
    """If the first content is sent again, byte for byte, it is the newest again."""
    house.receive(alpha())
    house.receive(alpha(PatientID="PB", PatientName="Beta^B"))
    complete(house)
    job_id = house.receive(alpha())
    complete(house)
    with house.database.reading() as session:
        study = session.scalars(select(Study)).one()
    assert (house.job(job_id).state, house.job(job_id).revision, study.patient_id) == ("QUEUED", 3, "PA")


def test_conflict_is_decided_by_a_person_with_a_reason(house: House) -> None:
    """Only the images of the chosen patient are drafted, and the person and the reason are recorded."""
    house.receive(alpha())
    job_id = house.receive(beta())
    complete(house)
    context = operator_context_of(house.database, house.store)
    with pytest.raises(InvalidTransition, match="reason"):
        operator.resolve(context, UID, "1.2.3.1.1.2", reason=" ", actor="cli:me")
    with pytest.raises(NotFound):
        operator.resolve(context, UID, "1.2.9", reason="typed", actor="cli:me")
    state = operator.resolve(context, UID, "1.2.3.1.1.2", reason="worklist mix-up", actor="cli:me")
    assert state is JobState.QUEUED
    reporter = FakeReporter()
    DraftingWorker(house.database, house.store, Settings(), reporter).run_once()  # type: ignore[arg-type]
    assert [len(study.images) for study in reporter.asked] == [1]
    assert house.job(job_id).state == "DRAFTED"
    with house.database.reading() as session:
        study = session.scalars(select(Study)).one()
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "conflict-resolved")).one()
    assert (study.patient_id, study.conflict) == ("PB", None)
    assert (event.actor, event.details["reason"]) == ("cli:me", "worklist mix-up")


def test_decision_lapses_with_the_content_that_it_rests_on(house: House) -> None:
    """If the chosen image is sent again for a third patient, somebody must decide again."""
    house.receive(alpha())
    house.receive(beta())
    complete(house)
    context = operator_context_of(house.database, house.store)
    operator.resolve(context, UID, "1.2.3.1.1.2", reason="mix-up", actor="me")
    job_id = house.receive(beta(PatientID="PC", PatientName="Gamma^C"))
    complete(house)
    assert house.job(job_id).code == "patient-conflict"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientBirthDate": "19700102"}, {"PatientBirthDate": "1970.01.02"}),
        ({"IssuerOfPatientID": ""}, {"IssuerOfPatientID": "HOSP"}),
        ({"IssuerOfPatientID": "HOSP"}, {"IssuerOfPatientID": "hosp "}),
        ({"PatientBirthDate": "19700102"}, {"PatientBirthDate": "00010101"}),
        ({"IssuerOfPatientID": "HOSP^1.2.3^ISO"}, {"IssuerOfPatientID": "HOSP"}),
        ({"PatientID": "PA "}, {"PatientID": " PA"}),
        ({"PatientID": "", "PatientName": "Müller^Ä"}, {"PatientName": "MUELLER^AE^^^"}),
        ({"PatientID": ""}, {"PatientName": "Alpha^A=亜^亜"}),
    ],
)
def test_notation_makes_no_second_patient(
    house: House, first: dict[str, object], second: dict[str, object]
) -> None:
    """Values are compared as DICOM values: padding, case, dates and writing systems make no difference."""
    both = {"SpecificCharacterSet": "ISO_IR 192", "PatientID": "PA", "PatientName": "Alpha^A"}
    with disable_value_validation():
        house.receive(alpha(**both | first))
        job_id = house.receive(beta(**both | second))
    complete(house)
    assert (house.job(job_id).state, house.job(job_id).code) == ("QUEUED", None)


def test_judgement_names_the_images_that_may_be_drafted(house: House) -> None:
    """Only the eligible image may be drafted, none after a conflict, and a refusal cannot be changed."""
    from agent.queue import gate

    house.receive(alpha(BodyPartExamined="HIP"))
    house.receive(beta(PatientID="PA", PatientName="Alpha^A"))
    judgement = gate.judge(house.database, house.store, Settings(), 1)
    chest = judgement.contents.here[1]
    assert (judgement.accepted, judgement.refusal) == ({chest.sha256}, None)
    house.receive(beta())
    judgement = gate.judge(house.database, house.store, Settings(), 1)
    assert judgement.accepted == frozenset()
    assert judgement.refusal is not None
    assert (judgement.refusal.state, judgement.refusal.code) == (JobState.FAILED, "patient-conflict")
    assert isinstance(judgement.refusal.error, PatientConflict)
    assert judgement.refusal.reason == str(judgement.refusal.error)
    with pytest.raises(dataclasses.FrozenInstanceError):
        judgement.refusal = None  # type: ignore[misc]
