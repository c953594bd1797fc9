"""Enters a durable file as rows: one transaction for each instance, before its sender gets "success".

A new revision is made by an image that arrives after its study was queued, by a SOP Instance that arrives
again with other bytes, and by a rejection note (IHE IOCM), which rejects images. The revision's job is
created with its first object. A job that no worker has taken yet is canceled as superseded, so that the
incomplete set is never drafted; the new job inherits its `force_at`, so that late images cannot postpone a
draft indefinitely.

An image whose patient contradicts the study's row marks the study with a patient conflict: nothing of it is
written or sent until the gate (`agent.queue.gate`) has judged the newest content of all its images.

An earlier study that was retrieved for comparison creates rows only: no job, no revision, no conflict, no
change to a study that was sent to be drafted. If it is sent to be drafted later, it is treated as new.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import SHADOW, JobState, Lane
from agent.database.tables import Instance, Job, Quarantined, Study
from agent.foundation.failpoints import failpoint
from agent.foundation.settings.tree import StudySettings
from agent.objects.header import STAT_PRIORITY, Header
from agent.objects.rejection_note import is_key_object, is_rejection_note
from agent.objects.store import StoredFile
from agent.queue import jobs
from agent.queue.gate import INSTANCE_CONFLICT, PATIENT_CONFLICT, STUDY_COLUMNS
from agent.queue.lanes import join
from agent.queue.states import move
from agent.receive.received_rows import (
    begin_anew,
    begin_prior,
    complete,
    enter,
    forget,
    instance_of,
    is_ours,
    job_of_revision,
    names_another_patient,
    ordered_priority,
)

SUPERSEDED = "superseded"
ACTOR = "listener"
_BEFORE_ITS_DRAFT = (JobState.RECEIVING, JobState.QUEUED, JobState.GENERATING)


class IntakeOutcome(StrEnum):
    """How a received instance was classified."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the same bytes are known: nothing to do
    RESTORED = "restored"  # the same bytes, whose file was purged: the file is needed again
    CHANGED = "changed"  # a known SOP Instance with other bytes: both are kept
    OURS = "ours"  # one of our own documents came back: dropped
    EARLY = "early"  # a rejection note before its study: kept for the images that may follow
    UNUSED = "unused"  # a Key Object Selection that rejects no image: dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How an instance was entered; `revision` is the study's, 0 for what was dropped."""

    outcome: IntakeOutcome
    revision: int
    conflict: str | None = None


class Intake:
    """Writes received instances into the database."""

    def __init__(
        self,
        database: Database,
        studies: StudySettings,
        site_of: Callable[[str], str] = lambda title: "",
        in_shadow: Callable[[str], bool] = lambda title: False,
    ) -> None:
        """site_of: the name of the site that a calling AE title belongs to. in_shadow: whether its studies
        are drafted in shadow.
        """
        self._database = database
        self._studies = studies
        self._site_of, self._in_shadow = site_of, in_shadow
        # SQLite allows one writer; unlike SQLite's file lock, this lock is fair.
        self._writer = threading.Lock() if database.is_sqlite else nullcontext()

    def receive(
        self,
        header: Header,
        file: StoredFile,
        calling_ae_title: str,
        *,
        prior: bool = False,
        address: str = "",
        lane: Lane | None = None,
    ) -> Receipt:
        """Enter one instance whose file is durable, and its study's job, in one transaction.

        prior: it was retrieved for comparison and gets no job; if it is here already, it is a DUPLICATE,
        whatever its bytes. address: the sender's, for the audit. lane: `backfill` for what was retrieved to
        be drafted; left out, it follows from the sender and the priority.

        Raises:
            DatabaseUnavailable: nothing was entered; the sender must be asked to retry.
        """
        with self._writer, self._database.transaction() as session:
            if prior:
                return self._receive_prior(session, header, file, calling_ae_title)
            lane = lane or (Lane.SHADOW if self._in_shadow(calling_ae_title) else Lane.ROUTINE)
            return self._receive(session, header, file, calling_ae_title, address, lane)

    def quarantine(self, file: StoredFile, code: str, calling_ae_title: str) -> None:
        """Enter bytes that are not a usable instance; the same bytes are entered once.

        Raises:
            DatabaseUnavailable: nothing was entered.
        """
        with self._writer, self._database.transaction() as session:
            insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
            session.execute(
                insert(Quarantined)
                .values(
                    sha256=file.sha256,
                    code=code,
                    calling_ae_title=calling_ae_title[:16],
                    size_bytes=file.size_bytes,
                    received_at=database_now(session),
                )
                .on_conflict_do_update(
                    index_elements=["sha256"],
                    set_={"purged_at": None, "received_at": database_now(session)},
                    where=Quarantined.purged_at.is_not(None),
                )
            )

    def hold(self, study_instance_uids: Sequence[str], seconds: float) -> None:
        """Postpone the completion of studies that an open association is sending by `seconds`.

        `force_at` still applies.

        Raises:
            DatabaseUnavailable: nothing was held.
        """
        if not study_instance_uids:
            return
        with self._writer, self._database.transaction() as session:
            until = database_now(session) + timedelta(seconds=seconds)
            session.execute(
                update(Job)
                .where(
                    Job.study_id.in_(
                        select(Study.id).where(Study.study_instance_uid.in_(study_instance_uids))
                    ),
                    Job.state == JobState.RECEIVING.value,
                    Job.due_at < until,
                )
                .values(due_at=until)
                .execution_options(synchronize_session=False)
            )

    @property
    def shortest_quiet_time_s(self) -> float:
        """The shortest quiet time (s) that a study may have."""
        return self._studies.shortest_quiet_time_s

    def _quiet_time_s(self, priority: int) -> float:
        return self._studies.quiet_for_s(stat=priority == STAT_PRIORITY)

    def _receive(
        self,
        session: Session,
        header: Header,
        file: StoredFile,
        calling_ae_title: str,
        address: str,
        lane: Lane,
    ) -> Receipt:
        if is_ours(session, header):
            return Receipt(outcome=IntakeOutcome.OURS, revision=0)
        if is_key_object(header) and not is_rejection_note(header):
            return Receipt(outcome=IntakeOutcome.UNUSED, revision=0)
        now, is_note = database_now(session), is_key_object(header)
        # A note alone makes no study to be drafted: it is kept for the images that may follow.
        study = self._study(session, header, calling_ae_title, now, prior=is_note)
        if study.prior and is_note:
            return _kept_note(session, study, header, file, now, calling_ae_title, address)
        if study.prior:
            begin_anew(study, header, calling_ae_title, now)
            study.site = self._site_of(calling_ae_title)
        known = session.scalars(
            select(Instance.sha256)
            .where(Instance.sop_instance_uid == header.sop_instance_uid, Instance.prior.is_(False))
            .order_by(Instance.id)
        ).all()
        another_patient = not is_note and names_another_patient(session, study, header)
        if file.sha256 in known:
            if file.sha256 == known[-1] or not another_patient:
                if lane is not Lane.BACKFILL:
                    self._take_over(session, study, header.priority, calling_ae_title, lane, now)
                return _repeated(session, study, header, file, now)
            # A correction is reverted: the earlier content becomes the newest again, in a new row.
            forget(session, header, file)
        if study.conflict != PATIENT_CONFLICT and another_patient:
            study.conflict = PATIENT_CONFLICT
        elif known and study.conflict is None:
            study.conflict = INSTANCE_CONFLICT
        complete(study, header)
        study.last_received_at = now
        priority = min(header.priority, ordered_priority(session, study))
        self._job(session, study, priority, lane, changed=bool(known), now=now, taken_back=is_note)
        enter(session, study, header, file, now, calling_ae_title, address)
        failpoint("intake.before-commit")
        return Receipt(
            outcome=IntakeOutcome.CHANGED if known else IntakeOutcome.NEW,
            revision=study.revision,
            conflict=study.conflict,
        )

    def _receive_prior(
        self, session: Session, header: Header, file: StoredFile, calling_ae_title: str
    ) -> Receipt:
        if is_ours(session, header):
            return Receipt(outcome=IntakeOutcome.OURS, revision=0)
        now = database_now(session)
        study = self._study(session, header, calling_ae_title, now, prior=True)
        rows = session.scalars(select(Instance).where(Instance.sop_instance_uid == header.sop_instance_uid))
        held = {row.sha256: row for row in rows}
        if file.sha256 in held:
            return _repeated(session, study, header, file, now)
        if any(row.purged_at is None for row in held.values()):
            return Receipt(outcome=IntakeOutcome.DUPLICATE, revision=study.revision, conflict=study.conflict)
        if study.prior:
            begin_prior(session, study, header)
            if names_another_patient(session, study, header):
                study.conflict = PATIENT_CONFLICT
            complete(study, header)
        session.add(instance_of(study, header, file, now, prior=True))
        session.flush()
        return Receipt(outcome=IntakeOutcome.NEW, revision=study.revision, conflict=study.conflict)

    def _study(
        self,
        session: Session,
        header: Header,
        calling_ae_title: str,
        now: datetime,
        *,
        prior: bool = False,
    ) -> Study:
        values = {
            "study_instance_uid": header.study_instance_uid,
            "prior": prior,
            "calling_ae_title": calling_ae_title[:16],
            "site": self._site_of(calling_ae_title),
            "revision": 1,
            "first_received_at": now,
            "last_received_at": now,
        } | {column: getattr(header, column) for column in STUDY_COLUMNS}
        found = self._locked_study(session, header.study_instance_uid)
        if found is not None:
            return found
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        session.execute(
            insert(Study).values(values).on_conflict_do_nothing(index_elements=["study_instance_uid"])
        )
        # Two associations may start one study at once; either way the row exists now.
        study = self._locked_study(session, header.study_instance_uid)
        if study is None:  # pragma: no cover - the insert above made it or found it
            raise LookupError("a study vanished inside its own transaction")
        return study

    def _locked_study(self, session: Session, study_instance_uid: str) -> Study | None:
        return session.scalars(
            select(Study).where(Study.study_instance_uid == study_instance_uid).with_for_update()
        ).one_or_none()

    def _take_over(
        self, session: Session, study: Study, stated: int, calling_ae_title: str, lane: Lane, now: datetime
    ) -> None:
        """Draft a study for its sender that is already stored as an old study from the archive.

        Its job changes its lane; if it already has an undelivered draft, a further revision is drafted and
        sent.
        """
        job = job_of_revision(session, study)
        if job is None or job.lane != Lane.BACKFILL:
            return
        kept = job.state == JobState.DRAFTED and job.code == SHADOW
        if not kept and job.state not in _BEFORE_ITS_DRAFT:
            return
        study.calling_ae_title, study.site = calling_ae_title[:16], self._site_of(calling_ae_title)
        priority = min(stated, ordered_priority(session, study))
        if not kept:
            join(job, lane, priority)
            job.site = study.site
        elif lane is not Lane.SHADOW:
            self._job(session, study, priority, lane, changed=False, now=now)

    def _job(
        self,
        session: Session,
        study: Study,
        stated: int,
        lane: Lane,
        *,
        changed: bool,
        now: datetime,
        taken_back: bool = False,
    ) -> None:
        """Let the study's job wait for this object too, or create the next revision's job.

        taken_back: the object is a rejection note; a draft that is due or being made may be of its images.
        """
        job = job_of_revision(session, study)
        if job is not None and job.state == JobState.RECEIVING and not changed:
            join(job, lane, stated)
            job.due_at = now + timedelta(seconds=self._quiet_time_s(job.priority))
            job.updated_at = now
            return
        priority, force_at = stated, now + timedelta(seconds=self._studies.force_after_s)
        if job is not None:
            study.revision += 1
            # A forced job stays queued: its study has waited long enough for its draft.
            ends = job.state == JobState.RECEIVING or (job.state == JobState.QUEUED and not job.incomplete)
            if ends or (taken_back and job.state in _BEFORE_ITS_DRAFT):
                join(job, lane, stated)
                priority, lane, force_at = job.priority, Lane(job.lane), job.force_at or force_at
                reason = f"revision {study.revision} takes its images and a later one"
                move(session, job, JobState.CANCELED, now=now, code=SUPERSEDED, reason=reason, actor=ACTOR)
        jobs.enqueue(
            session,
            study,
            now=now,
            revision=study.revision,
            priority=priority,
            lane=lane,
            due_at=now + timedelta(seconds=self._quiet_time_s(priority)),
            force_at=force_at,
            actor=ACTOR,
        )


def _repeated(session: Session, study: Study, header: Header, file: StoredFile, now: datetime) -> Receipt:
    """Enter bytes that are known, under the lock of their rows, which a purge of the file takes too."""
    rows = session.scalars(
        select(Instance)
        .where(Instance.sop_instance_uid == header.sop_instance_uid, Instance.sha256 == file.sha256)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    purged = [row for row in rows if row.purged_at is not None]
    for row in purged:
        row.purged_at = None
    if purged:
        study.last_received_at = now
    return Receipt(
        outcome=IntakeOutcome.RESTORED if purged else IntakeOutcome.DUPLICATE,
        revision=study.revision,
        conflict=study.conflict,
    )


def _kept_note(
    session: Session, study: Study, header: Header, file: StoredFile, now: datetime, actor: str, address: str
) -> Receipt:
    """Enter a rejection note of a study whose images were not sent to be drafted, or not yet."""
    known = select(Instance.id).where(
        Instance.sop_instance_uid == header.sop_instance_uid, Instance.sha256 == file.sha256
    )
    if session.scalar(known) is not None:
        return _repeated(session, study, header, file, now)
    enter(session, study, header, file, now, actor, address)
    return Receipt(outcome=IntakeOutcome.EARLY, revision=study.revision)
