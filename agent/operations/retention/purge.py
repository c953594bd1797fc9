"""The purge of image files: first the rows are marked purged, then the files are removed.

If the process dies in between, the next start removes the files whose rows are all marked purged. A file is
removed while its rows are locked and none of them needs it, so that an image that arrives again meanwhile
either finds its file or is recorded as missing (`agent.receive.intake`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.tables import Instance, Quarantined, Study
from agent.database.unneeded_files import erase
from agent.foundation.failpoints import failpoint
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.operations.retention.facts import next_studies, read_facts
from agent.operations.retention.rules import PURGES, Reason, RetentionFacts, Rules, judge

PAGE = 200
# Pages for each tick; the next tick continues from there.
PAGES_A_TICK = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeDecision:
    """The decision on a study's files."""

    facts: RetentionFacts
    reason: Reason

    @property
    def purges(self) -> bool:
        """Whether they are purged."""
        return self.reason in PURGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge removed."""

    studies: int
    files: int
    size_bytes: int
    quarantined: int


class Purge:
    """Goes through the studies, oldest first, and purges those that may be purged."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        store: InstanceStore,
        free_mb: Callable[[], float | None],
        *,
        actor: str,
        older_than: timedelta | None = None,
    ) -> None:
        """`older_than` replaces the settings' ages, at a person's request."""
        self._database = database
        self._settings = settings.retention
        self._store = store
        self._free_mb = free_mb
        self._actor = actor
        self._rules = Rules(
            settings=settings.retention,
            committing=frozenset(one.name for one in settings.destinations if one.commitment),
            older_than=older_than,
        )
        self._after_id = 0

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self._settings.purges or self._rules.older_than is not None

    def plan(self) -> Iterator[PurgeDecision]:
        """Return the decision on each study with stored files, oldest first, without changing anything.

        For a purge for space, studies are listed until enough is free.
        """
        freed, after_id = 0.0, 0
        while True:
            now, ids, found = self._read(after_id)
            for facts in found:
                rules = replace(self._rules, short_of_space=self._is_short(freed))
                decision = PurgeDecision(facts=facts, reason=judge(facts, rules, now))
                freed += facts.size_bytes / 1e6 if decision.purges else 0
                yield decision
            if not ids:
                return
            after_id = ids[-1]

    def run(self) -> Purged:
        """Purge everything that may be purged.

        Raises:
            DatabaseUnavailable: earlier purges are kept.
        """
        self._after_id = 0
        total: Counter[str] = Counter()
        while self._page(total):
            pass
        return self._purged(total)

    def tick(self) -> Purged:
        """Purge what may be purged on the next pages of studies; after the last page the next tick starts
        over.

        Raises:
            DatabaseUnavailable: earlier purges are kept.
        """
        total: Counter[str] = Counter()
        for _ in range(PAGES_A_TICK):
            if not self._page(total):
                self._after_id = 0
                break
        return self._purged(total)

    def _purged(self, total: Counter[str]) -> Purged:
        return Purged(
            studies=total["studies"],
            files=total["files"],
            size_bytes=total["size_bytes"],
            quarantined=self._purge_quarantine(),
        )

    def _page(self, total: Counter[str]) -> bool:
        """Process the next page; return whether there was one."""
        now, ids, found = self._read(self._after_id)
        if not ids:
            return False
        for facts in found:
            rules = replace(self._rules, short_of_space=self._is_short())
            if judge(facts, rules, now) in PURGES and self._purge_study(facts.study_id, rules):
                total.update(studies=1, files=facts.files, size_bytes=facts.size_bytes)
        self._after_id = ids[-1]
        return True

    def _read(self, after_id: int) -> tuple[datetime, Sequence[int], Sequence[RetentionFacts]]:
        """Return the database's time, and the studies of the next page with their facts."""
        with self._database.reading() as session:
            ids = next_studies(session, after_id, PAGE)
            return database_now(session), ids, read_facts(session, ids)

    def _is_short(self, freed_mb: float = 0.0) -> bool:
        wanted, free = self._settings.free_space_mb, self._free_mb()
        return wanted is not None and free is not None and free + freed_mb < wanted

    def _purge_study(self, study_id: int, rules: Rules) -> bool:
        """Judge a study again under its lock, and purge it; return whether it was."""
        with self._database.transaction() as session:
            now = database_now(session)
            # The lock that an arriving image takes too: none can arrive between the decision and the update.
            session.execute(select(Study.id).where(Study.id == study_id).with_for_update())
            facts = read_facts(session, [study_id])
            reason = judge(facts[0], rules, now) if facts else Reason.UNFINISHED
            if reason not in PURGES:
                return False
            live = (Instance.study_id == study_id, Instance.purged_at.is_(None))
            sha256s = session.scalars(select(Instance.sha256).where(*live)).all()
            session.execute(
                update(Instance)
                .where(*live)
                .values(purged_at=now)
                .execution_options(synchronize_session=False)
            )
            record(
                session,
                Event(
                    action=Action.PURGE,
                    actor=self._actor,
                    study_id=study_id,
                    details={
                        "code": reason.value,
                        "purged_files": facts[0].files,
                        "purged_bytes": facts[0].size_bytes,
                    },
                ),
            )
            failpoint("purge.before-rows")
        failpoint("purge.after-rows")
        erase(self._database, self._store.discard, sha256s)
        return True

    def _purge_quarantine(self) -> int:
        """Remove objects whose time in quarantine is over; return how many."""
        days = self._settings.quarantine_keep_days
        if days is None:
            return 0
        with self._database.transaction() as session:
            now = database_now(session)
            old = session.scalars(
                select(Quarantined)
                .where(Quarantined.purged_at.is_(None), Quarantined.received_at < now - timedelta(days=days))
                .order_by(Quarantined.received_at)
                .limit(PAGE)
                .with_for_update(skip_locked=True)
            ).all()
            for row in old:
                row.purged_at = now
            if old:
                details = {"kind": "quarantine", "purged_files": len(old)}
                record(session, Event(action=Action.PURGE, actor=self._actor, details=details))
        for row in old:
            self._store.discard_quarantined(row.sha256)
        return len(old)
