"""Retrieval over our own association (C-GET): the archive need not know our AE title and port.

Source: PS3.4 C.4.3 (C-GET, study root), PS3.7 D.3.3.4 (SCP/SCU role selection).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
)

from agent.foundation.errors import AgentError, ArchiveRefused, ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.contexts import TRANSFER_SYNTAXES, image_classes
from agent.network.query_scu import FIND, PARTLY, Archive, series_query
from agent.network.scu import ConnectionLost, NoContext, Peer, associated

GET = UID(StudyRootQueryRetrieveInformationModelGet)
_TAKEN, _OUT_OF_RESOURCES = 0x0000, 0xA700


class GettingArchive(Archive):
    """An open association over which the archive sends the requested objects."""

    def __init__(self, association: Association, timeout_s: float, deadline: float, inbox: _Inbox) -> None:
        super().__init__(association, timeout_s, deadline)
        self._inbox = inbox

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Retrieve a series over this association.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveBusy, ArchiveLate: it was not sent, or only in part.
            StorageFull: an object could not be stored.
        """
        query = series_query(study_instance_uid, series_instance_uid)
        self._arm()
        try:
            for status, _ in self._association.send_c_get(query, GET):
                self._inbox.raise_trouble()
                if not self._pending(status, "get", also=PARTLY):
                    return
                self._arm()
        except (RuntimeError, ValueError) as error:
            raise ArchiveRefused("the archive does not offer retrieval (C-GET, study root)") from error
        raise ArchiveUnavailable("the archive broke off the association during a C-GET")


class _Inbox:
    """Receives the objects stored over the association."""

    def __init__(self, take: Callable[[bytearray], None]) -> None:
        self._take = take
        self._trouble: AgentError | None = None

    def store(self, event: evt.Event) -> int:
        """Receive one object; a failure is reported to the archive and ends the retrieval with its reason."""
        try:
            self._take(bytearray(event.encoded_dataset()))
        except AgentError as error:
            self._trouble = error
            return _OUT_OF_RESOURCES
        return _TAKEN

    def raise_trouble(self) -> None:
        """Raise the error that receiving an object has raised."""
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble


@contextmanager
def open_by_get(
    settings: ArchiveSettings, budget_s: float, take: Callable[[bytearray], None]
) -> Iterator[GettingArchive]:
    """Open an association for queries and C-GET, all of which end after `budget_s` seconds.

    take: receives each object as a Part 10 file.

    Raises:
        ArchiveUnavailable: no connection, or a rejection; the text says which.
        ArchiveRefused: it offers neither queries nor retrieval.
    """
    deadline = time.monotonic() + budget_s
    peer: Peer = settings.model_copy(update={"timeout_s": min(settings.timeout_s, max(budget_s, 0.1))})
    inbox = _Inbox(take)
    classes = dict.fromkeys(image_classes(accept_secondary_capture=True), TRANSFER_SYNTAXES)
    try:
        with associated(
            peer, [FIND, GET], handlers=[(evt.EVT_C_STORE, inbox.store)], taken=classes
        ) as association:
            association.network_timeout = None
            yield GettingArchive(association, settings.timeout_s, deadline, inbox)
    except NoContext as error:
        raise ArchiveRefused("the archive offers no query or retrieval (study root)") from error
    except ConnectionLost as error:
        raise ArchiveUnavailable(str(error).replace("the destination", "the archive")) from error
