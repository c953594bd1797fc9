"""A PACS with scripted answers, and documents to send to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from agent.foundation.settings.tree import DestinationSettings
from dicom_sr.document import Algorithm, DraftContent, SourceStudy, build_draft, encode
from model.findings.types import Finding, Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A document to send."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes


@dataclass(kw_only=True)
class ScriptedPacs:
    """A real Storage SCP; `answers` are successive statuses, or functions of the event, then success."""

    classes: Sequence[str] = (BasicTextSRStorage, Comprehensive3DSRStorage)
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian,)
    ae_title: str = "PACS"
    answers: list[Any] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    uids: list[str] = field(default_factory=list)
    nodelay: list[int] = field(default_factory=list)
    associations: int = 0
    port: int = 0
    # A TLS context; plain TCP when None.
    tls: Any = None
    server: Any = None

    def start(self, port: int = 0) -> DestinationSettings:
        """Listen; return this PACS as a destination."""
        entity = AE(ae_title=self.ae_title)
        entity.require_called_aet = True
        entity.add_supported_context(Verification)
        for uid in self.classes:
            entity.add_supported_context(uid, list(self.syntaxes))
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ESTABLISHED, self._count)]
        self.server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=self.tls
        )
        self.port = self.server.socket.getsockname()[1]
        return DestinationSettings(
            name="pacs", host="127.0.0.1", port=self.port, ae_title="PACS", timeout_s=20
        )

    def stop(self) -> None:
        """Stop listening."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def _count(self, _event: evt.Event) -> None:
        self.associations += 1

    def _store(self, event: evt.Event) -> int:
        answer = self.answers.pop(0) if self.answers else 0x0000
        if callable(answer):
            answer = answer(event)
        if answer in (0x0000, 0xB000):
            self.received.append(event.request.DataSet.getvalue())
            self.uids.append(str(event.request.AffectedSOPInstanceUID))
        return int(answer)


@pytest.fixture
def pacs() -> Iterator[Callable[..., ScriptedPacs]]:
    """Make a PACS that is stopped after the test."""
    made: list[ScriptedPacs] = []

    def make(**values: Any) -> ScriptedPacs:
        made.append(ScriptedPacs(**values))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def letters() -> Callable[[int], tuple[Letter, Letter]]:
    """Make both documents of study number n."""

    def make(number: int) -> tuple[Letter, Letter]:
        image = Dataset()
        image.SOPClassUID = DigitalXRayImageStorageForPresentation
        image.StudyInstanceUID = f"1.2.840.99.{number}"
        image.SeriesInstanceUID, image.SOPInstanceUID = f"1.2.840.99.{number}.1", f"1.2.840.99.{number}.1.1"
        image.PatientName, image.PatientID = "Müller^Jörg", f"P{number}"
        image.SpecificCharacterSet = "ISO_IR 192"
        image.Modality = "DX"
        pair = build_draft(
            SourceStudy(images=[image]),
            DraftContent(
                findings=[Finding(concept="pneumothorax", presence=Presence.ABSENT)],
                findings_sentences=["No pneumothorax ≥ 5 mm."],
                impression_sentences=["Normal."],
            ),
            Algorithm(name="m", version="1", manufacturer="x", weights_sha256="0" * 64, demonstration=False),
            revision=1,
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )
        found = [
            Letter(
                sop_class_uid=str(dataset.SOPClassUID),
                sop_instance_uid=str(dataset.SOPInstanceUID),
                series_instance_uid=str(dataset.SeriesInstanceUID),
                content=encode(dataset),
            )
            for dataset in (pair.findings, pair.report)
        ]
        return found[0], found[1]

    return make


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield int(listener.getsockname()[1])
    listener.close()
