"""Performs workitems of other systems' worklists: claims, drafts, reports progress and output.

A claim and its Transaction UID are stored before the request is sent. Whenever a process is killed, the next
one continues with the same UID: a claim that the manager has answered is never made twice, and what was
performed is reported once. The drafting itself is a job of our own queue like any other.

Source: IHE RAD AIW-I (AI Performer; pull and triggered pull), PS3.4 annex CC.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import ENDED, JobState
from agent.database.tables import Job, Study
from agent.database.workitems import UpsClaim
from agent.foundation.errors import ArchiveUnavailable, InvalidTransition
from agent.foundation.failpoints import failpoint
from agent.foundation.log import get_logger
from agent.foundation.settings.ups import UpsManagerPeer
from agent.queue import operator
from agent.ris.ups.draft_life import PROGRESS
from agent.ris.ups.foreign import misread
from agent.ris.ups.outputs import stored_documents
from agent.ris.ups.records import as_dataset, as_json, study_of
from agent.ris.ups.scu import RemoteManager, holds, open_manager
from agent.ris.ups.terms import Readiness, StepState, UpsStatus
from agent.ris.ups.wording import Station, cancellation, performed, progress
from dicom_sr.attributes import items, text

# Retrying cannot help: another system has ended the workitem.
_HOPELESS = (UpsStatus.NOT_UPDATABLE, UpsStatus.WRONG_TRANSACTION, UpsStatus.NO_SUCH_WORKITEM)
# Most workitems of one manager that are claimed and not yet ended.
MOST_CLAIMED = 32


class Retriever(Protocol):
    """Has the images of a study sent to us, where they can be retrieved."""

    @property
    def available(self) -> bool:
        """Whether there is an archive to retrieve from."""

    def fetch(self, study_instance_uid: str) -> None:
        """Request a study; requesting it again soon does nothing."""


class Performer:
    """Performs the workitems of one manager."""

    def __init__(
        self,
        database: Database,
        peer: UpsManagerPeer,
        station: Station,
        retriever: Retriever,
        *,
        ae_titles: Mapping[str, str] | None = None,
        receiving_ae_title: str = "",
    ) -> None:
        """Be ready.

        ae_titles: the destinations' AE titles by name, for the output information. receiving_ae_title: the AE
        title for the manager's events, if `peer.subscribe` is set.
        """
        self._database, self._peer, self._station, self._retriever = database, peer, station, retriever
        self._ae_titles = ae_titles or {}
        self._receiving_ae_title = receiving_ae_title
        self._subscribed = False
        self.woken = threading.Event()
        self._log = get_logger("ups")

    def tick(self) -> int:
        """Continue with claimed workitems, and claim new ones; return how many were ended.

        Raises:
            DatabaseUnavailable: the rest is done at the next tick.
        """
        self.woken.clear()
        try:
            with open_manager(self._peer) as manager:
                self._subscribe(manager)
                ended = sum(self._go_on(manager, claim_id) for claim_id in self._open_claims())
                self._take_new(manager)
                return ended
        except ArchiveUnavailable as error:
            self._subscribed = False
            self._log.warning("worklist_unavailable", destination=self._peer.name, code=error.code)
            return 0

    def cancel(self, uid: str) -> bool:
        """Stop performing a workitem, on request; False if it is not ours or has ended."""
        with self._database.transaction() as session:
            claim = session.scalar(
                select(UpsClaim).where(
                    UpsClaim.manager == self._peer.name, UpsClaim.uid == uid, UpsClaim.ended_at.is_(None)
                )
            )
            if claim is None or claim.job_id is None:
                return False
            try:
                operator.cancel_in(session, claim.job_id, reason="canceled by its requester", actor="ups")
            except InvalidTransition:
                return False
        self.woken.set()
        return True

    def _subscribe(self, manager: RemoteManager) -> None:
        if self._peer.subscribe and not self._subscribed:
            status = manager.subscribe(self._receiving_ae_title)
            self._subscribed = status in (UpsStatus.SUCCESS, UpsStatus.LOCK_NOT_GRANTED)
            if not self._subscribed:
                self._log.warning("not_subscribed", destination=self._peer.name, status=f"{status:04X}")

    def _open_claims(self) -> list[int]:
        with self._database.reading() as session:
            query = select(UpsClaim.id).where(
                UpsClaim.manager == self._peer.name, UpsClaim.ended_at.is_(None)
            )
            return list(session.scalars(query.order_by(UpsClaim.id)))

    def _take_new(self, manager: RemoteManager) -> None:
        free = MOST_CLAIMED - len(self._open_claims())
        for item in manager.ready() if free > 0 else ():
            if free <= 0:
                return
            if misread(item) or not self._is_for_us(item) or not self._can_perform(study_of(item)):
                continue
            claim_id = self._write_down(item)
            if claim_id is not None:
                free -= 1
                failpoint("ups.before-claim")
                self._go_on(manager, claim_id)

    def _is_for_us(self, item: Dataset) -> bool:
        """Whether we may claim a workitem: it is of our kind, its input is ready, and no one else is
        assigned.
        """
        ready = text(item, "InputReadinessState") == Readiness.READY
        kinds = _code_values(item, "ScheduledWorkitemCodeSequence")
        stations = _code_values(item, "ScheduledStationNameCodeSequence")
        ours = str(self._station.code().CodeValue)
        return ready and bool(kinds & set(self._peer.workitem_codes)) and (not stations or ours in stations)

    def _can_perform(self, study_instance_uid: str) -> bool:
        if not study_instance_uid:
            return False
        return self._job_of(study_instance_uid) is not None or self._retriever.available

    def _job_of(self, study_instance_uid: str) -> Job | None:
        jobs = select(Job).join(Study, Study.id == Job.study_id).where(Job.kind == "draft")
        ours = jobs.where(Study.study_instance_uid == study_instance_uid)
        with self._database.reading() as session:
            return session.scalar(ours.order_by(Job.revision.desc()).limit(1))

    def _write_down(self, item: Dataset) -> int | None:
        """Store the claim before the request is sent; None if it was stored before."""
        uid = text(item, "SOPInstanceUID")
        with self._database.transaction() as session:
            known = select(UpsClaim.id).where(UpsClaim.manager == self._peer.name, UpsClaim.uid == uid)
            if session.scalar(known) is not None:
                return None
            claim = UpsClaim(
                manager=self._peer.name,
                uid=uid,
                transaction_uid=generate_uid(prefix=None),
                state="claiming",
                study_instance_uid=study_of(item),
                content=as_json(item),
                claimed_at=database_now(session),
            )
            session.add(claim)
            session.flush()
            return claim.id

    def _go_on(self, manager: RemoteManager, claim_id: int) -> bool:
        """Bring a claim up to date with its job; return whether it has ended."""
        claim = self._read(claim_id)
        if claim.state == "claiming":
            status = manager.change_state(claim.uid, StepState.IN_PROGRESS, claim.transaction_uid)
            failpoint("ups.after-claim")
            if not holds(status) or not self._is_ours(manager, claim, status):
                self._note(claim_id, state="lost", code=f"{status:04X}", ended=True)
                return False
            whole = manager.get(claim.uid)
            self._note(
                claim_id, state="claimed", content=None if whole is None or misread(whole) else as_json(whole)
            )
            claim = self._read(claim_id)
        job = self._job_of(claim.study_instance_uid)
        if job is None:
            self._retriever.fetch(claim.study_instance_uid)
            return False
        if claim.job_id is None:
            self._note(claim_id, job_id=job.id)
        if JobState(job.state) in ENDED:
            return self._end(manager, claim, job)
        self._say_progress(manager, claim, job)
        return False

    def _is_ours(self, manager: RemoteManager, claim: UpsClaim, status: int) -> bool:
        """Whether a workitem is IN PROGRESS because of our claim: only its performer may update it."""
        if status == UpsStatus.SUCCESS:
            return True
        changes = Dataset()
        changes.ProcedureStepProgressInformationSequence = [progress(0, "claimed")]
        return manager.update(claim.uid, changes, claim.transaction_uid) == UpsStatus.SUCCESS

    def _say_progress(self, manager: RemoteManager, claim: UpsClaim, job: Job) -> None:
        percent, words = PROGRESS.get(JobState(job.state), (0, "waiting for the images"))
        if percent == claim.progress:
            return
        changes = Dataset()
        changes.ProcedureStepProgressInformationSequence = [progress(percent, words)]
        if manager.update(claim.uid, changes, claim.transaction_uid) == UpsStatus.SUCCESS:
            self._note(claim.id, progress=percent)

    def _end(self, manager: RemoteManager, claim: UpsClaim, job: Job) -> bool:
        """Report the output, or why there is none, then complete or cancel; both may be repeated."""
        wanted = StepState.COMPLETED if job.state == JobState.DELIVERED.value else StepState.CANCELED
        status = manager.update(claim.uid, self._outcome(claim, job, wanted), claim.transaction_uid)
        failpoint("ups.before-completion")
        if status in (UpsStatus.SUCCESS, UpsStatus.NOT_UPDATABLE):
            status = manager.change_state(claim.uid, wanted, claim.transaction_uid)
        failpoint("ups.after-completion")
        done = status in (UpsStatus.SUCCESS, UpsStatus.ALREADY_COMPLETED, UpsStatus.ALREADY_CANCELED)
        if not done and status not in _HOPELESS:
            self._log.warning("workitem_not_ended", destination=self._peer.name, status=f"{status:04X}")
            return False
        code = None if done else f"{status:04X}"
        self._note(claim.id, state="done" if done else "lost", code=code, ended=True)
        return done

    def _outcome(self, claim: UpsClaim, job: Job, wanted: StepState) -> Dataset:
        changes, item = Dataset(), as_dataset(claim.content)
        if wanted is StepState.COMPLETED:
            with self._database.reading() as session:
                outputs = stored_documents(session, job.id, self._ae_titles)
            changes.UnifiedProcedureStepPerformedProcedureSequence = [
                performed(item, self._station, began=claim.claimed_at, ended=job.updated_at, outputs=outputs)
            ]
            changes.ProcedureStepProgressInformationSequence = [progress(100, "delivered")]
        else:
            why = f"{job.state.lower()}: {job.code}" if job.code else job.state.lower()
            said = cancellation(item, job.updated_at, code=job.code, reason=why)
            changes.ProcedureStepProgressInformationSequence = [said]
        return changes

    def _read(self, claim_id: int) -> UpsClaim:
        with self._database.reading() as session:
            return session.get_one(UpsClaim, claim_id)

    def _note(
        self,
        claim_id: int,
        *,
        state: str | None = None,
        code: str | None = None,
        job_id: int | None = None,
        progress: int | None = None,
        content: dict[str, object] | None = None,
        ended: bool = False,
    ) -> None:
        with self._database.transaction() as session:
            claim = session.get_one(UpsClaim, claim_id)
            moment: datetime | None = database_now(session) if ended else None
            values = {
                "state": state,
                "code": code,
                "job_id": job_id,
                "progress": progress,
                "content": content,
                "ended_at": moment,
            }
            for name, value in values.items():
                if value is not None:
                    setattr(claim, name, value)


def _code_values(item: Dataset, sequence: str) -> set[str]:
    return {text(one, "CodeValue") for one in items(item, sequence)} - {""}
