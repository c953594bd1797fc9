"""An archive for the backfill's benchmark: many synthetic studies, including the real ones in an Orthanc.

    python benchmarks/backfill_archive.py PORT STUDIES.json ORTHANC_PORT

STUDIES.json holds [UID, date, time, modality, description] of every study, by date and time. Queries by date
are answered from it; queries for series and retrievals are forwarded to Orthanc, which sends the objects
itself.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as FIND,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as MOVE,
)

from agent.commands.demo.orthanc import AE_TITLE as ORTHANC

AE_TITLE = "ARCHIVE"
Listed = tuple[str, str, str, str, str]


class Catalogue:
    """All studies by date and time, each modality by itself."""

    def __init__(self, studies: list[Listed]) -> None:
        self._studies: dict[str, list[Listed]] = {}
        for one in sorted(studies, key=lambda study: study[1:3]):
            self._studies.setdefault(one[3], []).append(one)

    def between(self, study_date: str, study_time: str, modality: str) -> list[Listed]:
        """Return the studies of a DA range, of a TM range or any, with a modality (PS3.4 C.2.2.2.5)."""
        first, last = study_date.split("-")
        mine = self._studies.get(modality, [])
        found = mine[
            bisect_left(mine, first, key=lambda one: one[1]) : bisect_right(
                mine, last, key=lambda one: one[1]
            )
        ]
        begin, _, end = study_time.partition("-")
        return [one for one in found if not end or begin <= one[2] <= end]


class Archive:
    """The service class provider."""

    def __init__(self, catalogue: Catalogue, orthanc_port: int) -> None:
        self._catalogue, self._port = catalogue, orthanc_port
        self._entity = AE("BENCHMARK")
        for context in (FIND, MOVE):
            self._entity.add_requested_context(context)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND for studies from the catalogue, any other from Orthanc."""
        query = event.identifier
        if query.QueryRetrieveLevel != "STUDY":
            yield from self._asked(query)
            return
        listed = self._catalogue.between(query.StudyDate, query.get("StudyTime", ""), query.ModalitiesInStudy)
        for uid, day, moment, modality, description in listed:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            answer = Dataset()
            answer.QueryRetrieveLevel = "STUDY"
            answer.StudyDate, answer.StudyTime = day, moment
            answer.StudyInstanceUID, answer.StudyDescription = uid, description
            answer.ModalitiesInStudy = modality
            yield 0xFF00, answer

    def move(self, event: evt.Event) -> Iterator[Any]:
        """Have Orthanc send what was requested; return when it has."""
        yield "127.0.0.1", self._port  # never connected to, because nothing is sent from here
        association = self._entity.associate("127.0.0.1", self._port, ae_title=ORTHANC)
        if not association.is_established:
            raise ConnectionError("Orthanc does not take the association")
        try:
            request: Any = event.request
            for _ in association.send_c_move(event.identifier, request.MoveDestination, MOVE):
                pass
        finally:
            association.release()
        yield 0

    def _asked(self, query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        association = self._entity.associate("127.0.0.1", self._port, ae_title=ORTHANC)
        if not association.is_established:
            yield 0xA700, None
            return
        try:
            for status, identifier in association.send_c_find(query, FIND):
                if identifier is not None:
                    yield int(status.Status), identifier
        finally:
            association.release()


def serve(port: int, studies: Path, orthanc_port: int) -> None:
    """Answer until the process is ended."""
    listed = [tuple(one) for one in json.loads(studies.read_text(encoding="utf-8"))]
    archive = Archive(Catalogue(listed), orthanc_port)
    entity = AE(AE_TITLE)
    for context in (FIND, MOVE):
        entity.add_supported_context(context)
    handlers: list[Any] = [(evt.EVT_C_FIND, archive.find), (evt.EVT_C_MOVE, archive.move)]
    entity.start_server(("127.0.0.1", port), evt_handlers=handlers)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
