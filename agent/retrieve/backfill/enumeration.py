"""Queries the archive for studies slice by slice, and stores the answers.

An answer's studies are entered a few at a time, so that no lock is held for long; the last transaction also
ends the slice. If the process is killed before that, the slice is queried again, and a study with a known UID
is not entered again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.backfill import BackfillStudy, PullState, SliceState
from agent.database.session import Database, database_now
from agent.foundation.backfill_errors import ArchiveBusy
from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable, LeaseLost
from agent.foundation.failpoints import failpoint
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.network.query_scu import ListedStudy, StudyList
from agent.objects.films.routing.rules import router_of
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.candidates import judge_study
from agent.retrieve.backfill.claims import (
    Hold,
    SliceClaim,
    check_slice,
    claim_slice,
    end_slice,
    postpone,
    row_of,
)
from agent.retrieve.backfill.slices import DateSlice, halves, looks_cut_off

ACTOR = "backfill"
# The archive gives no complete answer even for one minute of one day: what it returned is kept.
CUT_OFF = "backfill-cut-off"
# This many refusals or timeouts of the same query mean that its answer is too long.
_DIVIDE_AFTER = 2
# Rows per transaction: on SQLite no other process can write meanwhile.
_BATCH = 200


class Enumerator:
    """Queries slices; keeps no state between them."""

    def __init__(self, database: Database, settings: Settings, source: DatedArchive, chance: Random) -> None:
        self._database, self._settings, self._source = database, settings, source
        self._chance = chance
        self._router = router_of(settings)
        self._log = get_logger(ACTOR)

    def step(self) -> Hold | ArchiveUnavailable | None:
        """Query the next slice; return why there was no query, or the archive's trouble.

        Raises:
            DatabaseUnavailable: the slice is queried again when its lease has expired.
        """
        claim = claim_slice(self._database, self._settings.backfill)
        if isinstance(claim, Hold):
            return claim
        try:
            return self._ask(claim)
        except LeaseLost as error:
            self._log.warning("answers_discarded", code=error.code)
            return None

    def _ask(self, claim: SliceClaim) -> ArchiveUnavailable | None:
        try:
            listed = self._source.list_studies(claim.dates)
        except ArchiveUnavailable as error:
            self._again(claim, error.code, counts=False)
            return error
        except (ArchiveRefused, ArchiveLate) as error:
            return self._troubled(claim, error)
        failpoint("backfill.before-answers")
        self._keep(claim, listed)
        failpoint("backfill.after-answers")
        return None

    def rule_of(self, study: ListedStudy) -> str | None:
        """Return the rule that leaves a study in the archive, or None if it is a candidate."""
        trusted = self._settings.backfill.trust_study_description
        return judge_study(study, self._router, trust_description=trusted)

    def _troubled(self, claim: SliceClaim, error: ArchiveRefused | ArchiveLate) -> ArchiveUnavailable | None:
        """Divide a slice that the archive does not answer, or query it again later; after the last
        attempt it is DEAD.
        """
        parts = halves(claim.dates)
        if parts is not None and claim.attempts >= _DIVIDE_AFTER:
            self._divide(claim, parts, StudyList(studies=(), cut_off=True))
            return None
        if claim.attempts >= self._settings.backfill.maximum_attempts:
            with self._database.transaction() as session:
                end_slice(session, claim, SliceState.DEAD, code=error.code)
        else:
            self._again(claim, error.code, counts=True)
        self._log.warning("slice_not_answered", code=error.code, attempts=claim.attempts)
        return ArchiveUnavailable(str(error)) if isinstance(error, ArchiveBusy | ArchiveLate) else None

    def _keep(self, claim: SliceClaim, listed: StudyList) -> None:
        limit = self._settings.backfill.answer_limit
        parts = halves(claim.dates)
        cut_off = listed.cut_off or looks_cut_off(len(listed.studies), limit)
        if cut_off and parts is not None:
            self._divide(claim, parts, listed)
            return
        last = self._enter_all_but_last(claim, listed)
        with self._database.transaction() as session:
            code = CUT_OFF if listed.cut_off or len(listed.studies) >= limit else None
            row = end_slice(session, claim, SliceState.DONE, code=code)
            row.answers = len(listed.studies)
            self._enter_last(session, claim, listed, last)

    def _divide(self, claim: SliceClaim, parts: Iterable[DateSlice], listed: StudyList) -> None:
        """Replace a slice by its halves; its answer is kept, because a study without a time is in neither
        half.
        """
        last = self._enter_all_but_last(claim, listed)
        with self._database.transaction() as session:
            row = end_slice(session, claim, SliceState.DIVIDED)
            row.answers = len(listed.studies)
            self._enter_last(session, claim, listed, last)
            session.add_all(row_of(part, row.updated_at) for part in parts)

    def _enter_all_but_last(self, claim: SliceClaim, listed: StudyList) -> list[ListedStudy]:
        """Enter an answer's studies except the last batch; return that for the transaction that ends the
        slice.

        Raises:
            LeaseLost: another process makes the query now, or a person has dropped the slice.
        """
        batches = _batches(_valid(listed.studies))
        last = next(batches, [])
        for batch in batches:
            with self._database.transaction() as session:
                check_slice(session, claim)
                self._enter(session, claim, last)
            last = batch
        return last

    def _enter(self, session: Session, claim: SliceClaim, studies: Sequence[ListedStudy]) -> datetime:
        now = database_now(session)
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        if studies:
            session.execute(
                insert(BackfillStudy)
                .values([self._row(one, claim.slice_id, now) for one in studies])
                .on_conflict_do_nothing(index_elements=["study_instance_uid"])
            )
        return now

    def _enter_last(
        self, session: Session, claim: SliceClaim, listed: StudyList, last: Sequence[ListedStudy]
    ) -> None:
        now = self._enter(session, claim, last)
        archive = self._settings.archive
        details = {"query": "STUDY", "count": len(listed.studies)}
        address = "" if archive is None else archive.address
        record(session, Event(action=Action.QUERY, actor=ACTOR, address=address, details=details), at=now)

    def _row(self, study: ListedStudy, slice_id: int, now: datetime) -> dict[str, Any]:
        rule = self.rule_of(study)
        state = PullState.FOUND if rule is None else PullState.SKIPPED
        return {
            "study_instance_uid": study.study_instance_uid,
            "slice_id": slice_id,
            "state": state.value,
            "attempts": 0,
            "run_after": now,
            "code": rule,
            "updated_at": now,
        }

    def _again(self, claim: SliceClaim, code: str, *, counts: bool) -> None:
        with self._database.transaction() as session:
            row = end_slice(session, claim, SliceState.OPEN, code=code)
            postpone(row, self._settings.backfill, claim.attempts, self._chance)
            row.attempts -= 0 if counts else 1


def _valid(studies: Iterable[ListedStudy]) -> Iterator[ListedStudy]:
    """Yield each study with a usable UID once."""
    seen = set()
    for one in studies:
        uid = one.study_instance_uid
        if (
            uid not in seen
            and len(uid) <= 64
            and uid.replace(".", "").isascii()
            and uid.replace(".", "").isdigit()
        ):
            seen.add(uid)
            yield one


def _batches(studies: Iterable[ListedStudy]) -> Iterator[list[ListedStudy]]:
    iterator = iter(studies)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
