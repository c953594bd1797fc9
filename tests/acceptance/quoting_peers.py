"""Other systems whose error texts quote patient data: a PACS that refuses, and an archive that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from agent.commands.demo.pacs import SR_CLASSES

REFUSED, FAILED = 0x0122, 0xC001


def _status(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, comment
    return answer


@contextmanager
def refusing_pacs(comment: str) -> Iterator[int]:
    """A PACS that refuses every document permanently with this error comment; its port."""
    entity = AE(ae_title="REFUSING")
    for sop_class in (*SR_CLASSES, Verification):
        entity.add_supported_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    with _serving(entity, [(evt.EVT_C_STORE, lambda _event: _status(REFUSED, comment))]) as port:
        yield port


@contextmanager
def failing_archive(comment: str) -> Iterator[int]:
    """An archive that fails every query with this error comment; its port."""

    def find(_event: evt.Event) -> Iterator[tuple[Dataset, None]]:
        yield _status(FAILED, comment), None

    entity = AE(ae_title="FAILING")
    for sop_class in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        Verification,
    ):
        entity.add_supported_context(sop_class)
    with _serving(entity, [(evt.EVT_C_FIND, find)]) as port:
        yield port


@contextmanager
def _serving(entity: AE, handlers: list[tuple[evt.EventType, object]]) -> Iterator[int]:
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
