"""We perform for another system's worklist: claimed once, resumed after a crash, reported once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Job, UpsClaim
from agent.ris.ups import performer as performer_module
from agent.ris.ups.manager import Manager
from agent.ris.ups.performer import Performer
from agent.ris.ups.scu import RemoteManager, open_manager
from agent.ris.ups.terms import StepState
from agent.ris.ups.wording import Station
from tests.support.ups import scheduled
from tests.support.ups_peer import manager_peer, peer
from tests.unit.agent.rows import add_draft, add_job, add_study

STATION = Station(ae_title="ECHO_AGENT", name="ECHO Agent")


class NoArchive:
    """No archive to query."""

    available = False

    def fetch(self, study_instance_uid: str) -> None:
        """Do nothing."""


class Site:
    """Our own database, and the performer for the worklist at a port."""

    def __init__(self, database: Database, port: int, **values: object) -> None:
        self.database, self.peer = database, manager_peer(port, **values)

    def performer(self) -> Performer:
        """A performer as a new process would create it."""
        return Performer(self.database, self.peer, STATION, NoArchive(), ae_titles={"pacs": "PACS"})

    def study(self, uid: str, state: str = "QUEUED") -> int:
        """Add a study with a job."""
        with self.database.transaction() as session:
            now = database_now(session)
            return add_job(session, add_study(session, uid, at=now), state, at=now).id

    def go(self, job_id: int, state: str, *, drafted: bool = False, code: str | None = None) -> None:
        """Bring a job into a state, with a stored document if it was drafted."""
        with self.database.transaction() as session:
            job = session.get_one(Job, job_id)
            job.state, job.code = state, code
            if drafted:
                add_draft(session, job, at=database_now(session), stored_after_s=1)

    def claims(self) -> list[UpsClaim]:
        """Return the claims."""
        with self.database.reading() as session:
            return list(session.scalars(select(UpsClaim).order_by(UpsClaim.id)))


@pytest.fixture
def site(database: Database, port: int) -> Site:
    """A performer's own database, apart from the manager's."""
    return Site(database, port)


def order(manager: Manager, uid: str, study: str, **changes: object) -> None:
    """Have a RIS schedule a draft of a study."""
    item = scheduled(**changes)
    item.InputInformationSequence[0].StudyInstanceUID = study
    assert manager.create(uid, item).status == 0


def of(manager: Manager, uid: str) -> Dataset:
    """Return a workitem."""
    found = manager.get(uid).dataset
    assert found is not None
    return found


def test_performs_what_is_for_us_and_says_what_was_made(site: Site, manager: Manager, uid: str) -> None:
    """Claim, progress, completion with every instance; the performed workitem is the scheduled one."""
    job = site.study(f"{uid}.1")
    order(manager, uid, f"{uid}.1")
    site.performer().tick()
    assert str(of(manager, uid).ProcedureStepState) == "IN PROGRESS"
    site.go(job, "GENERATING")
    site.performer().tick()
    said = of(manager, uid).ProcedureStepProgressInformationSequence[0]
    assert (float(said.ProcedureStepProgress), said.ProcedureStepProgressDescription) == (10.0, "drafting")
    site.go(job, "DELIVERED", drafted=True)
    assert site.performer().tick() == 1
    done = of(manager, uid)
    performed = done.UnifiedProcedureStepPerformedProcedureSequence[0]
    assert str(done.ProcedureStepState) == "COMPLETED"
    assert performed.PerformedWorkitemCodeSequence[0] == done.ScheduledWorkitemCodeSequence[0]
    assert len(performed.OutputInformationSequence[0].ReferencedSOPSequence) == 1
    assert performed.OutputInformationSequence[0].DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"


def test_failed_draft_cancels_with_the_reason(site: Site, manager: Manager, uid: str) -> None:
    """A reading station sees why there will be no draft."""
    job = site.study(f"{uid}.1")
    order(manager, uid, f"{uid}.1")
    site.performer().tick()
    site.go(job, "FAILED", code="image-unreadable")
    site.performer().tick()
    done = of(manager, uid)
    assert str(done.ProcedureStepState) == "CANCELED"
    said = done.ProcedureStepProgressInformationSequence[0]
    assert "image-unreadable" in said.ReasonForCancellation


def test_leaves_what_is_not_for_us(site: Site, manager: Manager, uid: str) -> None:
    """Another station, another kind of work, input not ready, a study that we cannot get."""
    site.study(f"{uid}.1")
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "OTHER", "99X", "another station"
    order(manager, f"{uid}.2", f"{uid}.1", ScheduledStationNameCodeSequence=[code])
    order(manager, f"{uid}.3", f"{uid}.1", ScheduledWorkitemCodeSequence=[code])
    order(manager, f"{uid}.4", f"{uid}.1", InputReadinessState="INCOMPLETE")
    order(manager, f"{uid}.5", f"{uid}.9")
    site.performer().tick()
    states = [str(of(manager, f"{uid}.{n}").ProcedureStepState) for n in range(2, 6)]
    assert states == ["SCHEDULED"] * 4


class Killed(BaseException):
    """The process was killed here."""


@pytest.mark.parametrize(
    "place", ["ups.before-claim", "ups.after-claim", "ups.before-completion", "ups.after-completion"]
)
def test_performer_that_dies_goes_on_with_its_own_claim(
    site: Site, manager: Manager, uid: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored Transaction UID is used again, and the workitem ends once."""
    job = site.study(f"{uid}.1")
    order(manager, uid, f"{uid}.1")
    if "completion" in place:
        site.performer().tick()
        site.go(job, "DELIVERED", drafted=True)

    def die(name: str) -> None:
        if name == place:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(performer_module, "failpoint", die)
        with pytest.raises(Killed):
            site.performer().tick()
    written = site.claims()[-1].transaction_uid
    site.performer().tick()
    if "claim" in place:
        site.go(job, "DELIVERED", drafted=True)
        site.performer().tick()
    assert str(of(manager, uid).ProcedureStepState) == "COMPLETED"
    assert [(one.transaction_uid, one.state) for one in site.claims()] == [(written, "done")]


def test_manager_that_calls_any_claim_claimed_does_not_make_it_ours(
    site: Site, manager: Manager, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a manager answers 0xC302 to a wrong Transaction UID, only an update shows whose claim it is."""
    site.study(f"{uid}.1")
    order(manager, uid, f"{uid}.1")

    def too_late(self: RemoteManager, workitem: str, state: StepState, transaction_uid: str) -> int:
        manager.change_state(workitem, "IN PROGRESS", "2.25.5")
        return 0xC302

    with monkeypatch.context() as patched:
        patched.setattr(RemoteManager, "change_state", too_late)
        site.performer().tick()
    assert [one.state for one in site.claims()] == ["lost"]


def test_performers_race_and_each_workitem_is_claimed_once(manager: Manager, port: int, uid: str) -> None:
    """Four performers request all workitems at the same time; every claim has one winner."""
    uids = [f"{uid}.{n}" for n in range(40)]
    for one in uids:
        order(manager, one, "1.2.3")

    def claim_all(_performer: int) -> dict[str, str]:
        won: dict[str, str] = {}
        with open_manager(peer(port)) as remote:
            for one in uids:
                transaction = generate_uid(prefix=None)
                if remote.change_state(one, StepState.IN_PROGRESS, transaction) == 0:
                    won[one] = transaction
        return won

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(claim_all, range(4)))
    winners = [one for result in results for one in result]
    assert sorted(winners) == sorted(uids)
