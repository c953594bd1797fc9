"""Queries the archive for whether a quiet study is complete.

Done only if the settings say so (`studies.reconcile_with: archive`). An archive that does not answer delays
nothing: the study is completed as it is, and its history says that the archive could not be queried.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from agent.foundation.breaker import QUERY_PAUSES, Breaker
from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable
from agent.foundation.settings.tree import Settings
from agent.network.archive import ArchiveConnection, connect_archive
from agent.network.contexts import image_classes
from agent.queue.gate import modality_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStudy:
    """A study and its SOP Instances that have been received."""

    study_instance_uid: str
    sop_instance_uids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveAnswer:
    """How many eligible images the archive has beyond ours, or the error code if that is unknown."""

    missing: int = 0
    code: str | None = None


class ArchiveCount:
    """Queries the archive about studies; not thread-safe."""

    def __init__(self, settings: Settings, chance: Random) -> None:
        self._settings = settings
        self._chance = chance
        self._may_accept = modality_filter(settings)
        self._breaker = Breaker()
        self._classes = image_classes(settings.listener.accept_secondary_capture)

    def ask(self, studies: Sequence[HeldStudy]) -> Mapping[str, ArchiveAnswer]:
        """Return the answer for each study, by its UID; in all this takes at most `archive.timeout_s`."""
        archive = self._settings.archive
        if archive is None or not studies:
            return {}
        answers: dict[str, ArchiveAnswer] = {}
        code = ArchiveUnavailable.code
        if self._breaker.allows(time.monotonic()):
            try:
                with connect_archive(archive, archive.timeout_s) as opened:
                    for study in studies:
                        answers[study.study_instance_uid] = self._missing(opened, study)
                self._breaker = self._breaker.succeeded()
            except (ArchiveUnavailable, ArchiveLate, ArchiveRefused) as error:
                code = error.code
                self._breaker = self._breaker.failed(time.monotonic(), self._chance.random(), QUERY_PAUSES)
        return {one.study_instance_uid: ArchiveAnswer(code=code) for one in studies} | answers

    def _missing(self, archive: ArchiveConnection, study: HeldStudy) -> ArchiveAnswer:
        found = archive.study(study.study_instance_uid)
        held = study.sop_instance_uids
        # As many as received, or none at all: a modality may send to us first.
        if found is None or (found.instances is not None and found.instances <= len(held)):
            return ArchiveAnswer()
        missing = {
            instance.sop_instance_uid
            for series in archive.series(study.study_instance_uid)
            if self._may_accept(series.modality)
            for instance in archive.instances(study.study_instance_uid, series.series_instance_uid)
            if instance.sop_instance_uid not in held
            and (not instance.sop_class_uid or instance.sop_class_uid in self._classes)
        }
        return ArchiveAnswer(missing=len(missing))
