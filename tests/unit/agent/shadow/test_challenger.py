"""A challenger drafts each study of the main model once, delivers nothing, and takes over with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import func, select, update

from agent.database.session import database_now
from agent.database.tables import (
    AuditEvent,
    ChallengerDraft,
    Delivery,
    Document,
    Draft,
    Listing,
    ModelSwitch,
    SignedReport,
)
from agent.drafting.challenger import ChallengerWorker
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import LeaseLost
from agent.foundation.model_errors import ModelNotAsSwitched, SwitchRefused
from agent.foundation.settings.tree import Settings
from agent.service.models import SwitchWatch, challenging_place, check_as_switched, drafting_place
from agent.shadow import challenger
from agent.shadow.comparing import challenger_studies, compare_due, compared_studies
from agent.shadow.readings import NOT_MENTIONED, ComparedStudy, ConceptPair, ConceptReading
from agent.shadow.signed import SignedText, enter
from agent.shadow.switching import objections, paired_result, write_switch
from model.errors import ModelError
from model.findings.types import Presence
from tests.support.house import FakeReporter, identity

Film = Callable[..., Dataset]
SECOND = replace(identity(), name="second", weights_sha256="1" * 64)
PRESENT = ConceptReading(presence=Presence.PRESENT)


def main_draft(house: Any, settings: Settings, reporter: Any, *films: Dataset) -> None:
    house.queued(*films)
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()


def challenge(house: Any, settings: Settings, reporter: Any = None) -> int:
    worker = ChallengerWorker(
        house.database, house.store, settings, reporter or FakeReporter(identity=SECOND)
    )
    return sum(iter(worker.run_once, False))


def count(house: Any, table: Any) -> int:
    with house.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_challenger_drafts_each_study_once_and_delivers_nothing(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """Both drafts are compared with the signed report; documents and lists do not change."""
    for study in (1, 2):
        main_draft(house, settings, reporter, film(study))
    before = [count(house, table) for table in (Draft, Document, Delivery, Listing)]
    assert challenge(house, settings) == 2
    assert challenge(house, settings) == 0
    assert [count(house, table) for table in (Draft, Document, Delivery, Listing)] == before
    with house.database.transaction() as session:
        signed = SignedText(
            source="csv",
            key="1",
            text="Left pneumothorax.",
            signed_at=datetime(2026, 11, 1, tzinfo=UTC),
            study_instance_uid="1.2.3.1",
        )
        enter(session, signed, database_now(session))
    compare_due(house.database)
    with house.database.reading() as session:
        main, second = compared_studies(session), challenger_studies(session)
    assert [one.model for one in (*main, *second)] == ["0" * 64, "1" * 64]
    assert main[0].pairs == second[0].pairs
    assert paired_result(main, second).studies == 1


def test_challenger_that_comes_after_the_comparison_is_compared_too(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """The signed report and the main draft may have been compared long before."""
    main_draft(house, settings, reporter, film(1))
    with house.database.transaction() as session:
        signed = SignedText(
            source="hl7",
            key="1",
            text="No pneumothorax.",
            signed_at=datetime(2026, 11, 1, tzinfo=UTC),
            accession_number="A1",
            patient_id="P1",
        )
        enter(session, signed, database_now(session))
    assert compare_due(house.database) == 1
    with house.database.transaction() as session:
        now = database_now(session)
        session.execute(update(SignedReport).values(compared_at=now - timedelta(hours=1)))
        session.execute(update(Draft).values(created_at=now - timedelta(hours=2)))
    challenge(house, settings)
    assert compare_due(house.database) == 1
    with house.database.reading() as session:
        assert len(challenger_studies(session)) == 1
    assert compare_due(house.database) == 0


def test_challenger_waits_while_the_main_model_has_work(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """Studies waiting for the main model come first."""
    main_draft(house, settings, reporter, film(1))
    house.queued(film(2))
    assert challenge(house, settings) == 0
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()
    assert challenge(house, settings) == 2


def test_challenger_that_fails_tries_three_times(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """A transient error is retried; then the study is given up with the error's code."""

    def broken(_study: Any) -> None:
        raise RuntimeError("CANARY^PATIENT")

    main_draft(house, settings, reporter, film(1))
    assert challenge(house, settings, FakeReporter(identity=SECOND, before=broken)) == 3
    with house.database.reading() as session:
        row = session.scalars(select(ChallengerDraft)).one()
    assert (row.state, row.code, row.attempts) == ("failed", "unexpected", 3)


def test_challenger_that_lost_its_lease_writes_nothing(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """Another process has taken the study; a study that crashes its process is not retried for ever."""
    main_draft(house, settings, reporter, film(1))
    claims = []
    for _attempt in range(3):
        claim = challenger.claim_next(house.database, "1" * 64, 900)
        assert claim is not None
        claims.append(claim)
        assert challenger.claim_next(house.database, "1" * 64, 900) is None
        with house.database.transaction() as session:
            past = database_now(session) - timedelta(seconds=1)
            session.execute(update(ChallengerDraft).values(lease_until=past))
    with pytest.raises(LeaseLost), house.database.transaction() as session:
        challenger.finish(session, claims[0], model_name="", text="", content={}, now=database_now(session))
    assert challenger.claim_next(house.database, "1" * 64, 900) is None
    with house.database.reading() as session:
        row = session.scalars(select(ChallengerDraft)).one()
    assert (row.state, row.code) == ("failed", "lease-expired")


def studies(count_: int, *, right: range) -> list[ComparedStudy]:
    """Studies that all have a signed mass; the drafts of those in `right` have it too."""
    return [
        ComparedStudy(
            key=key,
            site="",
            device="",
            model="",
            at=datetime(2026, 1, 1, tzinfo=UTC),
            pairs={"mass": ConceptPair(drafted=PRESENT if key in right else NOT_MENTIONED, signed=PRESENT)},
        )
        for key in range(count_)
    ]


@pytest.mark.parametrize(
    ("main", "second", "words"),
    [
        (range(100), range(50, 100), "the challenger is worse in mass"),
        (range(50, 100), range(100), None),
        (range(50), range(2, 50), None),
    ],
)
def test_switch_needs_studies_and_a_challenger_that_is_not_worse(
    main: range, second: range, words: str | None
) -> None:
    """Too few shared studies are an objection, and so is a finding on which the challenger is worse."""
    result = paired_result(studies(100, right=main), studies(100, right=second))
    found = objections(result, 100)
    assert ([words in one for one in found] == [True]) if words else (found == [])
    assert "have drafted 100 studies" in objections(result, 101)[0]


def switch(house: Any, place: Any, reason: str = "better in nodules", digest: str = "1" * 64) -> None:
    with house.database.transaction() as session:
        write_switch(
            session,
            place=place,
            actor="cli:ann",
            reason=reason,
            from_digest="0" * 64,
            to_digest=digest,
            studies=300,
        )


def test_switch_exchanges_the_checkpoints_is_on_record_and_reversible(house: Any) -> None:
    """The newest row decides which model drafts; who and why are on record; no switch is made twice."""
    assert (drafting_place(house.database), challenging_place(house.database)) == ("main", "challenger")
    switch(house, "challenger")
    assert (drafting_place(house.database), challenging_place(house.database)) == ("challenger", "main")
    with pytest.raises(SwitchRefused, match="drafts already"):
        switch(house, "challenger")
    with pytest.raises(SwitchRefused, match="needs a reason"):
        switch(house, "main", reason="  ")
    switch(house, "main", reason="fewer alarms before")
    assert drafting_place(house.database) == "main"
    with house.database.reading() as session:
        rows = session.scalars(select(ModelSwitch).order_by(ModelSwitch.id)).all()
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "configuration")).all()
    assert [(one.place, one.actor, one.reason) for one in rows] == [
        ("challenger", "cli:ann", "better in nodules"),
        ("main", "cli:ann", "fewer alarms before"),
    ]
    assert [one.details["kind"] for one in events] == ["model-switch", "model-switch"]


def test_worker_refuses_other_weights_than_those_that_were_compared(house: Any) -> None:
    """After a switch the challenger's checkpoint must hold the weights that were compared."""
    check_as_switched(house.database, "2" * 64)
    switch(house, "challenger")
    check_as_switched(house.database, "1" * 64)
    with pytest.raises(ModelNotAsSwitched):
        check_as_switched(house.database, "2" * 64)
    switch(house, "main", reason="back")
    check_as_switched(house.database, "2" * 64)


def test_running_worker_follows_a_switch(house: Any) -> None:
    """It asks for its restart once it sees a switch; without one it continues."""
    lifecycle: Any = SimpleNamespace(stop=Event(), restart=False)
    watch = SwitchWatch(house.database, lifecycle)
    watch.look()
    assert not lifecycle.stop.is_set()
    switch(house, "challenger")
    watch.look()
    assert (lifecycle.restart, lifecycle.stop.is_set()) == (True, True)


def test_model_error_of_one_study_does_not_stop_the_challenger(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """The next study is still drafted."""

    def first_fails(study: Any) -> None:
        if study.key.claim.study_instance_uid == "1.2.3.1":
            raise ModelError("broken")

    for study in (1, 2):
        main_draft(house, settings, reporter, film(study))
    challenge(house, settings, FakeReporter(identity=SECOND, before=first_fails))
    with house.database.reading() as session:
        states = session.scalars(select(ChallengerDraft.state).order_by(ChallengerDraft.study_id)).all()
    assert states == ["failed", "drafted"]
