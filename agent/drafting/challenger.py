"""The challenger: a second network that drafts the studies of the first, one by one, and delivers nothing.

Its drafts are rows of `challenger_drafts`, which nothing else in the service reads except the comparison
with the signed reports (`agent.shadow`).
"""

from __future__ import annotations

import threading

from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Job, Study
from agent.drafting.prefetch import DraftCase, study_of
from agent.drafting.worker import Reporter
from agent.drafting.write_results import check_identity
from agent.foundation.errors import DatabaseUnavailable, LeaseLost
from agent.foundation.failure import describe
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue import gate
from agent.queue.jobs import Claim
from agent.reports.compose import algorithm_of, draft_record
from agent.reports.material import gather
from agent.shadow import challenger
from agent.shadow.challenger import ChallengerClaim
from model.drafts.draft import DraftText
from model.drafts.study import StudyList

# A process that is silent for this long (s) has died: its study is drafted by another, or again.
LEASE_S = 900.0


class ChallengerWorker:
    """Takes studies that the main model has drafted, and drafts them with another network."""

    def __init__(
        self, database: Database, store: InstanceStore, settings: Settings, reporter: Reporter
    ) -> None:
        self._database, self._store, self._settings, self._reporter = database, store, settings, reporter
        self._algorithm = algorithm_of(reporter.identity)
        self._log = get_logger("challenger")

    def run(self, stop: threading.Event) -> None:
        """Draft until `stop` is set; then finish the current study."""
        while not stop.is_set():
            try:
                worked = self.run_once()
            except DatabaseUnavailable as error:
                if not error.retryable:
                    raise
                self._log.warning("database_unavailable", code=error.code)
                worked = False
            if not worked:
                stop.wait(self._settings.worker.poll_s)

    def run_once(self) -> bool:
        """Draft one study; return whether there was one.

        Raises:
            DatabaseUnavailable: the study's lease expires, and it is drafted again.
        """
        claim = challenger.claim_next(self._database, self._algorithm.weights_sha256, LEASE_S)
        if claim is None:
            return False
        try:
            case = self._case(claim)
            self._write(claim, case, self._draft(case))
        except DatabaseUnavailable:
            raise
        except LeaseLost as error:
            self._log.warning("result_discarded", code=error.code)
        except Exception as error:  # noqa: BLE001 - outermost for one study: it must not stop the others
            self._refuse(claim, error)
        return True

    def _case(self, claim: ChallengerClaim) -> DraftCase:
        with self._database.reading() as session:
            uid = session.scalars(select(Study.study_instance_uid).where(Study.id == claim.study_id)).one()
            job = session.get_one(Job, claim.job_id)
        main = Claim(
            job_id=claim.job_id,
            token=claim.token,
            study_id=claim.study_id,
            study_instance_uid=uid,
            revision=claim.revision,
            priority=job.priority,
            attempts=claim.attempts,
            incomplete=job.incomplete,
        )
        return DraftCase(claim=main, material=gather(self._database, self._store, self._settings, main))

    def _draft(self, case: DraftCase) -> DraftText:
        ((_case, answer),) = self._reporter.draft_stream(StudyList([study_of(case)]))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _write(self, claim: ChallengerClaim, case: DraftCase, answer: DraftText) -> None:
        check_identity(case)
        with self._database.reading() as session:
            created = database_now(session).astimezone()
        record = draft_record(
            answer,
            case.material,
            self._algorithm,
            self._settings.urgency,
            revision=claim.revision,
            created=created,
            predecessors={},  # no document is built
        )
        with self._database.transaction() as session:
            gate.check_draft(session, claim.study_id, case.material.patients)
            challenger.finish(
                session,
                claim,
                model_name=self._algorithm.name,
                text=record.text,
                content=record.content,
                now=database_now(session),
            )
        self._log.info("drafted", job_id=claim.job_id, revision=claim.revision, seconds=answer.seconds)

    def _refuse(self, claim: ChallengerClaim, error: Exception) -> None:
        failure = describe(error)
        try:
            with self._database.transaction() as session:
                challenger.fail(session, claim, failure.code, retryable=failure.retryable)
        except LeaseLost as lost:
            self._log.warning("result_discarded", code=lost.code)
            return
        self._log.warning("not_drafted", job_id=claim.job_id, code=failure.code, attempts=claim.attempts)
