"""Has the archive send the images of a workitem to our listener, by C-MOVE."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.network.query_scu import open_archive

_AGAIN_AFTER_S = 60.0
_BUDGET_S = 300.0


class ArchiveRetriever:
    """Asks the archive of the settings; the images come in as if they had been routed to us."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._archive = settings.archive
        self._destination = settings.listener.ae_title
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}
        self._log = get_logger("ups")

    @property
    def available(self) -> bool:
        """Whether there is an archive that can be asked."""
        return self._archive is not None

    def fetch(self, study_instance_uid: str) -> None:
        """Have every series of a study sent to us; asking again within a minute does nothing."""
        now = self._monotonic()
        asked = self._asked.get(study_instance_uid)
        if self._archive is None or (asked is not None and now - asked < _AGAIN_AFTER_S):
            return
        self._asked[study_instance_uid] = now
        try:
            with open_archive(self._archive, _BUDGET_S) as archive:
                for series in archive.series(study_instance_uid):
                    archive.move(study_instance_uid, series.series_instance_uid, self._destination)
        except (ArchiveUnavailable, ArchiveRefused, ArchiveLate) as error:
            self._log.warning("not_retrieved", code=error.code, study_ref=study_ref(study_instance_uid))
