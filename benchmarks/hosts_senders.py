"""Simulated modalities: each has an AE title and a site, and sends its studies until they are stored."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from pydicom import Dataset
from pynetdicom import AE, _config

from agent.commands.demo.phantom_study import demo_uid, phantom_study
from agent.network.answers import leave_answers

leave_answers()

# Associations open at the same time: a modality keeps none while it has nothing to send.
_LINES = threading.BoundedSemaphore(12)
_PAUSE_S = 0.5
_STAT_EVERY = 20


def film() -> Dataset:
    """One small film, which every study copies."""
    return phantom_study(1, number=0, taken=datetime(2026, 1, 1, tzinfo=UTC), size=64).instances[0]


def study_of(template: Dataset, sender: str, number: int) -> Dataset:
    """The film of one study; every twentieth is STAT."""
    dataset = copy.deepcopy(template)
    dataset.StudyInstanceUID = demo_uid("load", sender, number)
    dataset.SeriesInstanceUID = demo_uid("load series", sender, number)
    dataset.SOPInstanceUID = demo_uid("load film", sender, number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID = dataset.AccessionNumber = f"{sender}-{number}"
    dataset.RequestedProcedurePriority = "STAT" if number % _STAT_EVERY == 0 else "ROUTINE"
    return dataset


class Site:
    """A site; while its connection is down, nothing arrives from it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connected = threading.Event()
        self.connected.set()


class Sender(threading.Thread):
    """Sends its studies one after the other, each until it is acknowledged; `stored` are their UIDs."""

    def __init__(
        self, ae_title: str, site: Site, port: int, template: Dataset, studies: int, stop: threading.Event
    ) -> None:
        super().__init__(name=ae_title, daemon=True)
        self._site, self._port, self._template = site, port, template
        self._studies, self._ended = studies, stop
        self.stored: list[str] = []
        self.refused = 0

    def run(self) -> None:
        """Send all."""
        for number in range(self._studies):
            dataset = study_of(self._template, self.name, number)
            while not self._ended.is_set():
                if self._site.connected.wait(_PAUSE_S) and self._send(dataset):
                    self.stored.append(str(dataset.StudyInstanceUID))
                    break
                time.sleep(_PAUSE_S)

    def _send(self, dataset: Dataset) -> bool:
        entity = AE(ae_title=self.name)
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        with _LINES:
            association = entity.associate("127.0.0.1", self._port, ae_title="ECHO_AGENT")
            if not association.is_established:
                self.refused += 1
                return False
            try:
                status = association.send_c_store(dataset)
            finally:
                # A cut connection ends an association silently.
                (association.release if self._site.connected.is_set() else association.abort)()
        stored = "Status" in status and status.Status == 0x0000
        self.refused += not stored
        return stored


def senders_of(
    sites: Sequence[Site], count: int, port: int, studies: int, stop: threading.Event
) -> list[Sender]:
    """Return `count` senders, distributed over the sites."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    template = film()
    return [
        Sender(ae_title(number), sites[number % len(sites)], port, template, studies, stop)
        for number in range(count)
    ]


def ae_title(number: int) -> str:
    """The AE title of a sender."""
    return f"MODALITY{number}"
