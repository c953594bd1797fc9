"""The ends of claims: writes a draft, records a failure, or returns a job that was not started to the queue.

Each end is one transaction under the claim's fencing token. If the database is unavailable the worker waits,
because a draft is expensive; a worker that lost its lease meanwhile writes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TypeVar

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.drafting.prefetch import DraftCase
from agent.foundation.errors import DatabaseUnavailable, LeaseLost, StudyMixedUp
from agent.foundation.failpoints import failpoint
from agent.foundation.failure import Failure, RetryPolicy, describe
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.queue import deliveries, gate, jobs
from agent.queue.jobs import Claim
from agent.queue.lease_keeper import LeaseKeeper
from agent.reports import publish
from agent.reports.compose import Certainty, draft_record
from agent.reports.views import with_views
from agent.shadow.certainty import CalibrationInUse, calibration_in_use
from agent.shadow.scores import probabilities
from dicom_sr.attributes import text
from dicom_sr.document import Algorithm
from model.drafts.draft import DraftText

T = TypeVar("T")


class Results:
    """Writes the results of claims, and stops renewing their leases. impatient: once it is set, an
    unavailable database is no longer waited for.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        algorithm: Algorithm,
        keeper: LeaseKeeper[Claim],
        policy: RetryPolicy,
        *,
        owner: str,
        chance: Random,
        impatient: threading.Event,
    ) -> None:
        self._database, self._settings, self._algorithm = database, settings, algorithm
        self._keeper, self._policy = keeper, policy
        self._owner, self._chance, self._impatient = owner, chance, impatient
        self._log = get_logger("worker")

    def settle(self, case: DraftCase, answer: DraftText | Exception) -> None:
        """Write a study's draft, or the reason why it was not drafted."""
        if isinstance(answer, Exception):
            self.refuse(case.claim, answer)
            return
        try:
            written = self._end(case.claim, partial(self._write, case, answer))
        except Exception as error:  # noqa: BLE001 - outermost for one study: it must not stop the others
            self.refuse(case.claim, error)
            return
        if written is not None:
            self._log.info(
                "drafted",
                job_id=case.claim.job_id,
                study_ref=study_ref(case.claim.study_instance_uid),
                revision=case.claim.revision,
                forwards=answer.forwards,
                tokens=answer.tokens,
                seconds=round(answer.seconds, 3),
            )

    def refuse(self, claim: Claim, error: Exception) -> None:
        """Record why a job was not drafted: it is retried, or stops."""
        failure = self._described(claim, error)
        fail = partial(
            jobs.fail, self._database, claim, failure, self._policy, chance=self._chance, actor=self._owner
        )
        state = self._end(claim, fail)
        if state is not None:
            self._log.warning(
                "not_drafted",
                job_id=claim.job_id,
                study_ref=study_ref(claim.study_instance_uid),
                state=state.value,
                code=failure.code,
                attempts=claim.attempts,
            )

    def release(self, claims: Sequence[Claim]) -> None:
        """Return jobs that were not started, without counting an attempt; without a database the leases
        expire.
        """
        self._keeper.drop(claims)
        try:
            jobs.release(self._database, claims, actor=self._owner)
        except DatabaseUnavailable as error:
            self._log.warning("database_unavailable", code=error.code)

    def patiently(self, act: Callable[[], T]) -> T:
        """Call `act`, and repeat it until the database can be reached.

        Raises:
            DatabaseUnavailable: it could not be reached before `impatient` was set, or refuses permanently.
        """
        while True:
            try:
                return act()
            except DatabaseUnavailable as error:
                self._log.warning("database_unavailable", code=error.code)
                if not error.retryable or self._impatient.wait(self._settings.worker.poll_s):
                    raise

    def _end(self, claim: Claim, act: Callable[[], T]) -> T | None:
        """Call what ends a claim, and return its result; None if the claim was not ended."""
        try:
            return self.patiently(act)
        except LeaseLost as error:
            self._log.warning("result_discarded", job_id=claim.job_id, code=error.code)
            return None
        except DatabaseUnavailable:
            # The lease expires by itself, and the study is drafted again.
            return None
        finally:
            self._keeper.drop([claim])

    def _write(self, case: DraftCase, draft: DraftText) -> JobState:
        claim = case.claim
        check_identity(case)
        with self._database.reading() as session:
            created = database_now(session).astimezone()
            before = publish.before_draft(
                session, claim.study_id, claim.study_instance_uid, self._settings.destinations
            )
            calibrated = calibration_in_use(session, self._algorithm.weights_sha256)
        record = draft_record(
            draft,
            case.material,
            self._algorithm,
            self._settings.urgency,
            revision=claim.revision,
            created=created,
            predecessors=before.pairs,
            standing=before.standing,
            certainty=None if calibrated is None else _certainty(draft, calibrated),
        )
        record = with_views(record, self._settings)
        failpoint("worker.before-write")
        patients = case.material.patients
        with self._database.transaction() as session:
            now = database_now(session)
            gate.check_draft(session, claim.study_id, patients)
            job = jobs.finish(session, claim, JobState.DRAFTED, now=now, actor=self._owner)
            publish.write(session, job, record, self._algorithm, self._settings, now=now)
            deliveries.settle(session, job, now, self._owner)
        failpoint("worker.after-write")
        return JobState.DRAFTED

    def _described(self, claim: Claim, error: Exception) -> Failure:
        failure = describe(error)
        if failure.code == "unexpected":
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = "" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
            self._log.error("unexpected", job_id=claim.job_id, error_type=type(error).__name__, where=where)
        return failure


def _certainty(draft: DraftText, calibrated: CalibrationInUse) -> Certainty:
    sentences = [
        (one.text, one.confidence) for one in (*draft.findings_sentences, *draft.impression_sentences)
    ]
    return Certainty(
        probabilities=probabilities(draft.findings, sentences, calibrated.calibration),
        calibration=calibrated.digest,
    )


def check_identity(case: DraftCase) -> None:
    """The last check before a text is written under a patient's name.

    Raises:
        StudyMixedUp: the images are not of the job's study.
    """
    uids = {text(header, "StudyInstanceUID") for header in case.material.headers}
    if uids != {case.claim.study_instance_uid}:
        raise StudyMixedUp("the images of this draft are of another study; nothing was written, report it")
