"""Retrieves the images of a workitem from the archive, as if they had been routed to us."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable, StorageFull
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.network.archive import connect_archive
from agent.network.incoming import Incoming

_AGAIN_AFTER_S = 60.0
_BUDGET_S = 300.0


class ArchiveRetriever:
    """Retrieves from the archive in the settings."""

    def __init__(
        self, settings: Settings, incoming: Incoming, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._archive = settings.archive
        self._incoming = incoming
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}
        self._log = get_logger("ups")

    @property
    def available(self) -> bool:
        """Whether there is an archive to retrieve from."""
        return self._archive is not None

    def fetch(self, study_instance_uid: str) -> None:
        """Retrieve every series of a study; a second request within a minute does nothing."""
        now = self._monotonic()
        asked = self._asked.get(study_instance_uid)
        if self._archive is None or (asked is not None and now - asked < _AGAIN_AFTER_S):
            return
        self._asked[study_instance_uid] = now
        try:
            with connect_archive(self._archive, _BUDGET_S, self._incoming) as archive:
                for series in archive.series(study_instance_uid):
                    archive.retrieve(study_instance_uid, series.series_instance_uid)
        except (ArchiveUnavailable, ArchiveRefused, ArchiveLate, StorageFull) as error:
            self._log.warning("not_retrieved", code=error.code, study_ref=study_ref(study_instance_uid))
