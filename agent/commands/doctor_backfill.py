"""The `doctor` check for the backfill: whether the archive lists studies by date, and can send them to
this listener.
"""

from __future__ import annotations

from ipaddress import ip_address

from agent.commands.doctor_http import Found
from agent.foundation.errors import AgentError, ArchiveRefused
from agent.foundation.settings.tree import ArchiveSettings, Settings

# A UID that no study has. Many archives check the destination of a C-MOVE first, some the study.
_NO_STUDY = "2.25.0"
_DESTINATION_UNKNOWN = "0xA801"


def backfill_found(settings: Settings, archive: ArchiveSettings, within_s: float) -> Found:
    """Check whether old studies can be found by date and retrieved; nothing is retrieved."""
    hurried = archive.model_copy(update={"timeout_s": min(archive.timeout_s, within_s)})
    trouble = _lists(settings, hurried, within_s)
    if trouble is not None:
        return trouble, "the archive must answer queries by study date to us; look at its log"
    backfill = settings.backfill
    if archive.kind == "dicomweb" or backfill.retrieve == "c-get":
        return "the archive lists studies by date; it needs no port of ours", ""
    title = backfill.move_destination.strip()
    if not _accepted(settings, archive):
        return (
            f"the listener would refuse {archive.ae_title.strip()} at {archive.host}, which is to send",
            "add the archive to `listener.allow`",
        )
    known = _knows(hurried, title, within_s)
    if known is False:
        return (
            f"the archive does not know {title} (0xA801)",
            f"enter {title} at the archive, at the listener's address and port "
            f"{settings.listener.port}, or set `backfill.retrieve: c-get`",
        )
    knows = f"and knows {title}" if known else f"but does not tell whether it knows {title}"
    return f"the archive lists studies by date, {knows}", ""


def _lists(settings: Settings, archive: ArchiveSettings, within_s: float) -> str | None:
    """Return why the archive does not list the studies of a day, or None if it does."""
    from agent.network.archive import connect_archive

    try:
        with connect_archive(archive, within_s) as connection:
            connection.list_studies(
                study_date="19000101-19000101",
                study_time="",
                modality=settings.backfill.modalities[0],
                most=settings.backfill.answer_limit,
            )
    except AgentError as error:
        return str(error)
    return None


def _accepted(settings: Settings, archive: ArchiveSettings) -> bool:
    """Whether the archive is in the listener's allow-list; host names are not resolved."""
    from agent.receive.peers import AssociationResult, Caller, PeerPolicy

    try:
        address = str(ip_address(archive.host))
    except ValueError:
        return True
    title = settings.backfill.move_destination
    caller = Caller(address=address, calling_ae_title=archive.ae_title, called_ae_title=title)
    if any(peer.certificate_sha256 for peer in settings.listener.allow):
        return True
    policy = PeerPolicy(settings.listener, None, title)
    return policy.judge(caller) is AssociationResult.ACCEPT


def _knows(archive: ArchiveSettings, title: str, within_s: float) -> bool | None:
    """Whether the archive knows the destination of a C-MOVE; None if its answer does not show it."""
    from agent.network.query_scu import open_archive

    try:
        with open_archive(archive, within_s, title) as connection:
            connection.retrieve(_NO_STUDY, _NO_STUDY)
    except ArchiveRefused as error:
        return False if _DESTINATION_UNKNOWN in str(error) else None
    except AgentError:
        return None
    return True
