"""The studies of the backfill's benchmark: in Orthanc, sent as STAT, and in a catalogue."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from pydicom import Dataset

from agent.commands.demo.orthanc import Orthanc
from agent.commands.demo.phantom_study import demo_uid, phantom_study
from agent.commands.demo.sending import parcel_of, send
from benchmarks.backfill_archive import Listed

# Drawing a film takes longer than sending it: this many patients, then the same films under new UIDs.
_PATIENTS = 12
FIRST_DAY = date(2015, 1, 1)
# Studies on one day of the archive, of both modalities.
PER_DAY = 28
# The regions of the other studies: a rule leaves them in the archive.
_ELSEWHERE = "XR Hand"


def drawn(size: int, most: int) -> list[tuple[Dataset, ...]]:
    """Draw the films, of `size` px, of at most this many patients."""
    taken = datetime(2015, 1, 1, tzinfo=UTC)
    patients = min(_PATIENTS, most)
    return [phantom_study(n, number=n, taken=taken, size=size).instances for n in range(patients)]


def catalogue(count: int, real: int) -> list[Listed]:
    """Return `count` studies, evenly over days; `real` of them, evenly among them, are chest films.

    The real ones have the UIDs of `renamed(..., "old", number)`, the first of them first.
    """
    every, made = count // real, 0
    listed: list[Listed] = []
    for number in range(count):
        day = FIRST_DAY + timedelta(days=number // PER_DAY)
        second = 86_400 * (number % PER_DAY) // PER_DAY + number % 600
        moment = f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"
        if number % every == 0 and made < real:
            uid, modality, description = study_uid("old", made), "DX", "XR Chest"
            made += 1
        else:
            uid, description = demo_uid("elsewhere", number), _ELSEWHERE
            modality = "DX" if number % 2 else "CR"
        listed.append((uid, f"{day:%Y%m%d}", moment, modality, description))
    return listed


def study_uid(kind: str, number: int) -> str:
    """Return the Study Instance UID of a renamed study."""
    return demo_uid("benchmark", kind, number)


def renamed(films: Sequence[Dataset], kind: str, number: int, **attributes: str) -> list[Dataset]:
    """Return the films as another study of another patient."""
    made = []
    for film in films:
        dataset = copy.deepcopy(film)  # a shallow copy would share its elements
        dataset.PatientID, dataset.AccessionNumber = f"{kind}-{number:06}", f"{kind[:1].upper()}{number:07}"
        dataset.StudyInstanceUID = study_uid(kind, number)
        dataset.SeriesInstanceUID = demo_uid("series", kind, number, film.SeriesInstanceUID)
        dataset.SOPInstanceUID = demo_uid("instance", kind, number, film.SOPInstanceUID)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        made.append(dataset)
    return made


def fill(orthanc: Orthanc, films: Sequence[Sequence[Dataset]], listed: Sequence[Listed]) -> int:
    """Put the real studies of a catalogue into Orthanc; return their images."""
    real = [one for one in listed if one[4] != _ELSEWHERE]
    images = 0
    for batch in _batches(len(real), 50):
        parcels = [
            parcel_of(dataset, "object")
            for number in batch
            for dataset in renamed(
                films[number % len(films)],
                "old",
                number,
                StudyDate=real[number][1],
                StudyTime=real[number][2],
            )
        ]
        sent = send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
        if not all(one.accepted for one in sent):
            raise RuntimeError("Orthanc did not take every film")
        images += len(parcels)
    return images


def _batches(count: int, size: int) -> Iterator[range]:
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


def write(listed: Sequence[Listed], file: Path) -> None:
    """Write a catalogue for `backfill_archive`."""
    file.write_text(json.dumps(listed), encoding="utf-8")


class StatSender(threading.Thread):
    """A modality that sends one STAT study after the other, at irregular times."""

    def __init__(self, films: Sequence[Sequence[Dataset]], port: int, mean_s: float) -> None:
        """mean_s: time (s) between two studies, on average."""
        super().__init__(name="stat", daemon=True)
        self._films, self._port, self._mean_s = films, port, mean_s
        self._chance = Random(20)
        self.stop = threading.Event()
        # When the last image of each study was acknowledged (s), by UID.
        self.sent: dict[str, float] = {}
        self.refused = 0

    def run(self) -> None:
        """Send until stopped."""
        number = 0
        while not self.stop.wait(self._chance.uniform(0.5, 1.5) * self._mean_s):
            films = renamed(
                self._films[number % len(self._films)], "stat", number, RequestedProcedurePriority="STAT"
            )
            done = send(
                [parcel_of(one, "object") for one in films],
                host="127.0.0.1",
                port=self._port,
                called="ECHO_AGENT",
                calling="STAT_ROOM",
            )
            if all(one.accepted for one in done):
                self.sent[study_uid("stat", number)] = time.time()
            else:
                self.refused += 1
            number += 1
