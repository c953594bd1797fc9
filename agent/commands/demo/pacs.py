"""The demo's embedded PACS: a Storage and Verification SCP that stores what it receives in a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pydicom import dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

AE_TITLE = "DEMO_PACS"
SR_CLASSES = (BasicTextSRStorage, EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage)


class Pacs(Protocol):
    """What the demo needs of a PACS."""

    @property
    def host(self) -> str:
        """Its address."""

    @property
    def port(self) -> int:
        """Its DICOM port."""

    @property
    def ae_title(self) -> str:
        """Its AE title."""

    def documents(self, study_instance_uid: str) -> tuple[bytes, ...]:
        """Return the Structured Reports of a study that it holds, as Part 10 files."""


class EmbeddedPacs:
    """Stores each SOP Instance once; like a PACS, it answers a second copy with success and does not
    store it.
    """

    host = "127.0.0.1"
    ae_title = AE_TITLE

    def __init__(self, folder: Path) -> None:
        self.port = 0
        self._folder = folder
        self._lock = threading.Lock()
        self._kept: dict[str, list[Path]] = {}
        self.copies = 0

    def documents(self, study_instance_uid: str) -> tuple[bytes, ...]:
        """Return the Structured Reports of a study that it holds, as Part 10 files."""
        with self._lock:
            paths = tuple(self._kept.get(study_instance_uid, ()))
        return tuple(path.read_bytes() for path in paths)

    def handle_store(self, event: evt.Event) -> int:
        """Store one object before answering success."""
        meta = event.file_meta
        target = self._folder / f"{meta.MediaStorageSOPInstanceUID}.dcm"
        with self._lock:
            if target.exists():
                self.copies += 1
                return 0x0000
            target.write_bytes(event.encoded_dataset())
            study = str(dcmread(target, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
            self._kept.setdefault(study, []).append(target)
        return 0x0000


@contextmanager
def running_pacs(folder: Path) -> Iterator[EmbeddedPacs]:
    """Start the embedded PACS on a free loopback port, with its objects in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    pacs = EmbeddedPacs(folder)
    entity = AE(ae_title=AE_TITLE)
    for sop_class in SR_CLASSES:
        entity.add_supported_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    entity.add_supported_context(Verification)
    server = entity.start_server(
        (pacs.host, 0),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, pacs.handle_store), (evt.EVT_C_ECHO, lambda _event: 0x0000)],
    )
    if server is None:
        raise RuntimeError("a server that does not block was not returned")
    pacs.port = int(server.server_address[1])
    try:
        yield pacs
    finally:
        server.shutdown()
