"""The process of the backfill: settings in, runner out."""

from __future__ import annotations

from agent.database.audit.record import Recorder
from agent.database.session import Database
from agent.foundation.backfill_errors import BackfillNotReady
from agent.foundation.settings.tree import Settings
from agent.operations.audit.process import audited
from agent.operations.heartbeat import Heartbeat
from agent.receive.intake import Intake
from agent.receive.retrieved import incoming_of
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.planning import go
from agent.retrieve.backfill.runner import Runner
from agent.service.lifecycle import Lifecycle
from agent.service.low_priority import lower_priority
from agent.service.wiring import open_store


def run_backfill(settings: Settings, database: Database, lifecycle: Lifecycle, *, follow: bool) -> None:
    """Query and retrieve until everything is done, a person stops it, or the process is told to end.

    follow: wait for further plans, and while a person has stopped it, instead of ending. Without it, a person
    has just started the process, which undoes an earlier stop; a restart by systemd or Kubernetes does not.

    Raises:
        BackfillNotReady: `backfill.enabled` is false.
    """
    archive = settings.archive
    if archive is None or not settings.backfill.enabled:
        raise BackfillNotReady(
            "set `archive` and `backfill.enabled: true`, restart the service, and let the archive know "
            f"{settings.backfill.move_destination!r} at the listener's address and port"
        )
    lower_priority(settings.backfill.nice)
    if not follow:
        go(database)
    store = open_store(settings)
    intake = Intake(database, settings.studies, settings.site_of, settings.in_shadow)
    with Recorder(database, "backfill") as recorder:
        incoming = incoming_of(settings, store, intake, recorder.note, backfill=True)
        runner = Runner(database, settings, DatedArchive(archive, settings.backfill, incoming))
        with (
            audited(database, settings, "backfill", lifecycle.id, lambda: lifecycle.restart),
            Heartbeat(database, "backfill", lifecycle.id, lifecycle.reported(runner.about)),
        ):
            lifecycle.ready()
            runner.run(lifecycle.stop, follow=follow)
            lifecycle.stop.set()  # its threads end now, which is no fault
    database.close()
