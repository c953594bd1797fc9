"""Housekeeping: completes quiet studies, reclaims expired leases, purges files, and exports audit messages.

APScheduler only triggers the work. Due times are stored in the database, so a missed or doubled tick, or a
second housekeeping process, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from agent.database.session import Database
from agent.foundation.disk import free_mb
from agent.foundation.errors import AgentError, AuditUndelivered
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.operations.audit.export import AuditExporter
from agent.operations.retention.clock_steps import undo_clock_steps
from agent.operations.retention.purge import Purge
from agent.operations.retention.purge_messages import purge_messages
from agent.queue import deliveries, jobs
from agent.queue.forward_steps import ForwardSteps
from agent.receive.archive_count import ArchiveCount
from agent.receive.complete_study import ACTOR, complete_due_studies
from agent.reports.withdraw import withdraw_due
from agent.service.signed import signed_report_ticks
from agent.service.ticker import Ticker
from agent.shadow.comparing import compare_due

_RECLAIM_EVERY_S = 5.0
_WITHDRAW_EVERY_S = 2.0
_EXPORT_EVERY_S = 5.0
_COMPARE_EVERY_S = 10.0
_PURGE_EVERY_S = 60.0
_PURGE_MESSAGES_EVERY_S = 3600.0


class Housekeeper:
    """Runs the housekeeping tasks in separate threads between `start` and `stop`."""

    def __init__(self, database: Database, settings: Settings, store: InstanceStore, chance: Random) -> None:
        self._database = database
        self._settings = settings
        self._store = store
        self._chance = chance
        asks = settings.studies.reconcile_with is not None
        self._archive = ArchiveCount(settings, chance) if asks else None
        self._log = get_logger(ACTOR)
        self._exporter = AuditExporter(database, settings)
        self._undelivered = False
        self._purge = Purge(database, settings, store, partial(free_mb, settings.storage.path), actor=ACTOR)
        self._forward_steps = ForwardSteps(database, settings.delivery.give_up_after_s)
        self._ticker = Ticker()

    def start(self) -> None:
        """Start; every task runs once immediately."""
        self._every(min(max(self._settings.studies.shortest_quiet_time_s / 4, 0.1), 1.0), self.complete)
        self._every(_RECLAIM_EVERY_S, self.reclaim)
        self._every(_WITHDRAW_EVERY_S, self.withdraw)
        self._every(_RECLAIM_EVERY_S, self.undo_clock_steps)
        self._every(_COMPARE_EVERY_S, self.compare)
        for seconds, tick in signed_report_ticks(self._database, self._settings, self._store):
            self._every(seconds, tick)
        if self._exporter.wanted:
            self._every(_EXPORT_EVERY_S, self.export)
        if self._purge.wanted:
            self._every(_PURGE_EVERY_S, self.purge)
        if self._settings.retention.hl7_keep_days is not None:
            self._every(_PURGE_MESSAGES_EVERY_S, self.purge_messages)
        self._ticker.start()

    def stop(self) -> None:
        """Stop after the running tasks have finished."""
        self._ticker.stop()

    def complete(self) -> None:
        """Complete the studies that are due."""
        for done in complete_due_studies(self._database, self._settings, self._store, archive=self._archive):
            self._log.info(
                "study_complete",
                job_id=done.job_id,
                study_ref=study_ref(done.study_instance_uid),
                state=done.state.value,
                code=done.code,
            )

    def withdraw(self) -> None:
        """Withdraw documents that were sent under a patient who is no longer the study's."""
        count = withdraw_due(self._database, self._settings)
        if count:
            self._log.warning("drafts_withdrawn", count=count)

    def compare(self) -> None:
        """Compare drafts with signed reports that have arrived."""
        count = compare_due(self._database)
        if count:
            self._log.info("drafts_compared", count=count)

    def reclaim(self) -> None:
        """Reclaim the jobs and deliveries whose lease has expired, after any step forward of the clock."""
        count = self._forward_steps.follow()
        if count:
            self._log.warning("clock_set_forward", count=count)
        count = jobs.reclaim_expired(
            self._database,
            self._settings.worker.retry,
            chance=self._chance,
            actor=ACTOR,
        )
        count += deliveries.reclaim_expired(
            self._database,
            self._settings.delivery.retry,
            chance=self._chance,
            actor=ACTOR,
        )
        if count:
            self._log.warning("leases_reclaimed", count=count)

    def undo_clock_steps(self) -> None:
        """Correct waits after the clock was set back."""
        count = undo_clock_steps(self._database, self._settings)
        if count:
            self._log.warning("clock_set_back", count=count)

    def export(self) -> None:
        """Export new audit messages; a destination that is down is logged once."""
        try:
            self._exporter.run_once()
        except AuditUndelivered as error:
            if not self._undelivered:
                self._log.warning("audit_waits", code=error.code)
            self._undelivered = True
            return
        if self._undelivered:
            self._log.info("audit_delivered")
        self._undelivered = False

    def purge(self) -> None:
        """Remove image files that no longer need to be kept."""
        done = self._purge.tick()
        if done.files or done.quarantined:
            self._log.info("purged", count=done.files + done.quarantined, size_bytes=done.size_bytes)

    def purge_messages(self) -> None:
        """Remove the bytes of HL7 messages whose retention time has passed."""
        days = self._settings.retention.hl7_keep_days
        count = 0 if days is None else purge_messages(self._database, days, actor=ACTOR)
        if count:
            self._log.info("messages_purged", count=count)

    def _every(self, seconds: float, tick: Callable[[], None]) -> None:
        self._ticker.every(seconds, partial(self._guarded, tick))

    def _guarded(self, tick: Callable[[], None]) -> None:
        """Run a task; an exception ends this run only."""
        try:
            tick()
        except AgentError as error:
            self._log.error("tick_failed", code=error.code, retryable=error.retryable)
        except Exception as error:  # noqa: BLE001 - outermost: the next tick must come
            self._log.error("tick_failed", code="unexpected", error_type=type(error).__name__)
