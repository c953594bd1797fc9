"""The housekeeping tasks that read other systems' signed reports, as configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.database.audit.record import Event
from agent.database.session import Database
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.retrieved import incoming_of
from agent.ris.signed.archive_poll import ArchiveReports
from agent.ris.signed.structured import enter_arrived

_ARRIVED_EVERY_S = 10.0


def signed_report_ticks(
    database: Database, settings: Settings, store: InstanceStore
) -> Iterator[tuple[float, Callable[[], None]]]:
    """Yield each task, with the pause (s) between its runs."""
    wanted = settings.signed_reports
    log = get_logger("signed")

    def counted(read: Callable[[], int]) -> Callable[[], None]:
        def tick() -> None:
            count = read()
            if count:
                log.info("signed_reports", count=count)

        return tick

    if wanted.fhir is not None:
        from agent.ris.signed.fhir_poll import FhirReports  # an HTTP client that other sites do not load

        yield wanted.fhir.poll_s, counted(FhirReports(database, wanted.fhir).run_once)
    if wanted.structured_reports or wanted.archive_poll_s is not None:
        yield _ARRIVED_EVERY_S, counted(lambda: enter_arrived(database, store))
    if wanted.archive_poll_s is not None and settings.archive is not None:
        intake = Intake(database, settings.studies, settings.site_of)
        incoming = incoming_of(settings, store, intake, _unnoted, prior=True)
        reports = ArchiveReports(database, settings.archive, incoming, wanted.archive_look_back_s)
        yield wanted.archive_poll_s, _silent(reports.run_once)


def _silent(read: Callable[[], int]) -> Callable[[], None]:
    def tick() -> None:
        read()

    return tick


def _unnoted(_event: Event) -> None:
    """Ignore it: the refusal is in the log, and is not the archive's fault."""
