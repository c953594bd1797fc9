"""Objects retrieved from a DICOMweb archive take the same path as objects received by C-STORE."""

from __future__ import annotations

from agent.database.states import Lane
from agent.foundation.errors import StorageFull
from agent.foundation.settings.tree import Settings
from agent.network.incoming import Incoming
from agent.objects.store import InstanceStore
from agent.receive.file_intake import FileIntake, Note
from agent.receive.intake import Intake
from agent.receive.receiver import Receiver, ReceiveStatus


def incoming_of(
    settings: Settings,
    store: InstanceStore,
    intake: Intake,
    note: Note,
    *,
    prior: bool = False,
    backfill: bool = False,
) -> Incoming:
    """Return where retrieved objects go: for a C-MOVE the listener's AE title, for WADO-RS the intake.

    prior: they are earlier studies to compare with, which are never drafted. backfill: they are old studies,
    which are drafted after everything else.
    """
    ae_title = settings.priors.move_destination if prior else settings.listener.ae_title
    if backfill:
        ae_title = settings.backfill.move_destination
    files = FileIntake(settings.listener, Receiver(store, intake), note)

    def take(file: bytearray) -> None:
        """Take one file.

        Raises:
            StorageFull: it could not be kept now, and neither can the next one.
        """
        archive = settings.archive
        taken = files.take(
            file,
            "" if archive is None else archive.ae_title.strip(),
            "" if archive is None else archive.address,
            prior_ae_title=ae_title.strip() if prior else "",
            lane=Lane.BACKFILL if backfill else None,
        )
        if taken.status is ReceiveStatus.OUT_OF_RESOURCES:
            raise StorageFull("what was retrieved cannot be kept now: see the log for the reason")

    return Incoming(
        ae_title=ae_title, take=take, longest=round(settings.listener.maximum_object_mb * 1_000_000)
    )
