"""Retrieves studies one by one, within the budget, and records the outcome of each.

After a kill, only the series that are not complete here are retrieved again; a study that is here for another
reason is left alone. Its job cannot be completed before its retrieval has ended
(`agent.receive.complete_study`), so that no part of a study is drafted.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.backfill import PullState
from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Instance, Job, Study
from agent.foundation.backfill_errors import ArchiveBusy
from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable, LeaseLost, StorageFull
from agent.foundation.failpoints import failpoint
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.network.query_scu import FoundSeries
from agent.objects.films.routing.rules import router_of
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.candidates import wanted_series
from agent.retrieve.backfill.claims import Hold, PullClaim, claim_study, end_study, postpone

ACTOR = "backfill"
NOT_RECEIVED = "backfill-not-received"
# The study was sent to us, and its draft has failed for good: a person decides (`echo-agent retry`).
JOB_DEAD = "backfill-job-dead"
# This many consecutive failures have a common cause.
_SYSTEMATIC = 5
# Trouble of the archive or of this machine, which says nothing about the study.
Trouble = ArchiveUnavailable | ArchiveBusy | StorageFull
_TROUBLE = (ArchiveUnavailable, ArchiveBusy, StorageFull)


class Puller:
    """Retrieves studies; remembers only which have failed since the last success."""

    def __init__(self, database: Database, settings: Settings, source: DatedArchive, chance: Random) -> None:
        self._database, self._settings, self._source = database, settings, source
        self._chance = chance
        self._router = router_of(settings)
        # Studies that failed since the last success.
        self._failed_since: set[str] = set()
        self._log = get_logger(ACTOR)

    def step(self) -> Hold | Trouble | None:
        """Retrieve the next study; return why none was retrieved, or the trouble that affects the next one
        too.

        Raises:
            DatabaseUnavailable: the study is retrieved again when its lease has expired.
        """
        claim = claim_study(self._database, self._settings.backfill)
        if isinstance(claim, Hold):
            return claim
        try:
            return self._pull(claim)
        except _TROUBLE as error:
            self._again(claim, error.code, counts=False)
            return error
        except (ArchiveRefused, ArchiveLate) as error:
            return self._failed(claim, error.code)
        except LeaseLost as error:
            self._log.warning("result_discarded", code=error.code)
            return None

    def _pull(self, claim: PullClaim) -> Trouble | None:
        uid = claim.study_instance_uid
        newest = self._sent_to_us(uid) if claim.attempts == 1 else None
        if newest is not None:
            self._end(claim, PullState.KNOWN, JOB_DEAD if newest is JobState.DEAD else None)
            return None
        with self._source.opened() as archive:
            found = archive.series(uid)
            wanted = wanted_series(found, self._router)
            if not found:
                self._end(claim, PullState.GONE)
                return None
            if not wanted.series:
                self._end(claim, PullState.SKIPPED, wanted.rule)
                return None
            failpoint("backfill.before-retrieve")
            for one in self._missing(wanted.series):
                archive.retrieve(uid, one.series_instance_uid)
        failpoint("backfill.after-retrieve")
        if self._missing(wanted.series):
            return self._failed(claim, NOT_RECEIVED)
        self._end(claim, PullState.PULLED)
        self._failed_since.clear()
        failpoint("backfill.after-row")
        return None

    def _sent_to_us(self, study_instance_uid: str) -> JobState | None:
        """Return the state of the newest job of a study that was sent to us to be drafted; None for any other
        study.

        A study partly retrieved under an earlier plan has only jobs in the lane `backfill`: its other images
        are still to be retrieved.
        """
        sent = (
            select(Job.state)
            .join(Study, Study.id == Job.study_id)
            .where(
                Study.study_instance_uid == study_instance_uid,
                Study.prior.is_(False),
                Job.lane != Lane.BACKFILL.value,
            )
            .order_by(Job.revision.desc(), Job.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            state = session.scalar(sent)
            return None if state is None else JobState(state)

    def _missing(self, series: Sequence[FoundSeries]) -> list[FoundSeries]:
        """Return the series that are missing here, or of which the archive has more images."""
        with self._database.reading() as session:
            return [
                one
                for one in series
                if one.instances != 0 and _held(session, one.series_instance_uid) < (one.instances or 1)
            ]

    def _end(self, claim: PullClaim, state: PullState, code: str | None = None) -> None:
        uid = claim.study_instance_uid
        with self._database.transaction() as session:
            end_study(session, claim, state, code=code)
            study_id = session.scalar(select(Study.id).where(Study.study_instance_uid == uid))
            if state is PullState.PULLED:
                _is_complete(session, study_id)
            if state is not PullState.KNOWN:
                record(session, self._asked(study_id, state, code))
        self._log.info("pulled", study_ref=study_ref(uid), state=state.value, code=code)

    def _asked(self, study_id: int | None, state: PullState, code: str | None) -> Event:
        """Return the audit event for the query of a study; its images have their own events."""
        archive = self._settings.archive
        details: dict[str, str | int] = {"query": "SERIES", "count": 1}
        if code is not None:
            details["code"] = code
        return Event(
            action=Action.QUERY,
            actor=ACTOR,
            address="" if archive is None else archive.address,
            succeeded=state is not PullState.DEAD,
            study_id=study_id,
            details=details,
        )

    def _failed(self, claim: PullClaim, code: str) -> ArchiveUnavailable | None:
        """Retry a study later; after the last attempt, whatever has arrived is drafted and marked incomplete.

        If one study after another fails, the cause is not in the studies, but for example an archive that
        does not know our AE title, or a listener that is not running. They get further attempts, and the
        archive is left alone.
        """
        self._failed_since.add(claim.study_instance_uid)
        systematic = len(self._failed_since) >= _SYSTEMATIC
        allowed = self._settings.backfill.maximum_attempts * (2 if systematic else 1)
        if claim.attempts < allowed:
            self._again(claim, code, counts=True)
        else:
            self._end(claim, PullState.DEAD, code)
        self._log.warning(
            "not_pulled",
            study_ref=study_ref(claim.study_instance_uid),
            code=code,
            attempts=claim.attempts,
        )
        return ArchiveUnavailable(f"no study can be retrieved [{code}]") if systematic else None

    def _again(self, claim: PullClaim, code: str, *, counts: bool) -> None:
        with self._database.transaction() as session:
            row = end_study(session, claim, PullState.FOUND, code=code)
            postpone(row, self._settings.backfill, claim.attempts, self._chance)
            # At least one attempt stays counted: its images do not make it a study that was here before.
            row.attempts = claim.attempts if counts else max(claim.attempts - 1, 1)


def _held(session: Session, series_instance_uid: str) -> int:
    """Count the instances of a series that have arrived to be drafted, including purged ones."""
    count = session.scalar(
        select(func.count(Instance.sop_instance_uid.distinct())).where(
            Instance.series_instance_uid == series_instance_uid, Instance.prior.is_(False)
        )
    )
    return count or 0


def _is_complete(session: Session, study_id: int | None) -> None:
    """Complete the study's job now: there is nothing more to wait for."""
    job = session.scalar(
        select(Job)
        .where(
            Job.study_id == study_id,
            Job.state == JobState.RECEIVING.value,
            Job.lane == Lane.BACKFILL.value,
        )
        .with_for_update()
    )
    if job is not None:
        job.due_at = database_now(session)
