"""The demo's RIS: orders each study by HL7 before the images arrive, and stores the results that it
receives.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset

from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.hl7 import Hl7DestinationSettings, Hl7Settings
from agent.messages.hl7.acknowledge import AcknowledgmentCode, acknowledge
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.messages.hl7.write import Value, encoded, header, name_value, segment
from agent.network.mllp import open_mllp
from agent.ris.server import MllpServer
from dicom_sr.elements import text

# Clinical question and HL7 priority; the demo's studies use them in turn.
_ASKED = (
    ("Cough and fever for three days. Pneumonia?", "R"),
    ("Sudden chest pain and shortness of breath. Pneumothorax?", "S"),
    ("Before an operation. Heart and lungs normal?", "R"),
    ("Known heart failure, more oedema. Effusion?", "A"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrder:
    """An order that the agent has acknowledged."""

    study_instance_uid: str
    accession_number: str
    placer_number: str
    question: str
    priority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedResult:
    """A message of the agent: its type, the order that it answers, OBR-25, and its text (OBX of type TX)."""

    study_instance_uid: str
    type: str
    control_id: str
    placer_number: str
    status: str
    lines: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sendable:
    content: bytes
    sop_class_uid: str = ""


class DemoRis:
    """A RIS on this machine; `port` receives results."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[ReceivedResult] = []
        self._server = MllpServer(Hl7Settings(port=0), self._take)
        self.port = self._server.start()
        self.orders: dict[str, DemoOrder] = {}

    def close(self) -> None:
        """End."""
        self._server.stop()

    def order(self, image: Dataset, *, host: str, port: int, at: datetime) -> None:
        """Order the study of an image at the agent's HL7 port, and wait for the acknowledgement.

        A study that names no patient cannot be ordered.

        Raises:
            DeliveryRefused, DeliveryFailed, ConnectionLost: the agent did not take it.
        """
        if not text(image, "PatientID"):
            return
        number = text(image, "AccessionNumber") or text(image, "StudyInstanceUID")[-12:]
        question, priority = _ASKED[len(self.orders) % len(_ASKED)]
        order = DemoOrder(
            study_instance_uid=text(image, "StudyInstanceUID"),
            accession_number=text(image, "AccessionNumber"),
            placer_number=f"P-{number}",
            question=question,
            priority=priority,
        )
        agent = DestinationSettings(name="agent", kind="hl7", host=host, port=port)
        with open_mllp(agent) as connection:
            connection.store(_Sendable(order_message(order, image, at)))
        self.orders[order.study_instance_uid] = order

    def results(self, study_instance_uid: str) -> Sequence[ReceivedResult]:
        """Return the messages received about a study, in order."""
        with self._lock:
            return [one for one in self._received if one.study_instance_uid == study_instance_uid]

    def _take(self, content: bytes, _address: str) -> list[bytes]:
        message = parse(content)
        with self._lock:
            self._received.append(received_result(message))
        return [acknowledge(message, AcknowledgmentCode.ACCEPTED, at=datetime.now().astimezone())]


@contextmanager
def running_ris() -> Iterator[DemoRis]:
    """A RIS while the block runs."""
    ris = DemoRis()
    try:
        yield ris
    finally:
        ris.close()


def order_message(order: DemoOrder, image: Dataset, at: datetime) -> bytes:
    """Return an ORM^O01 of one study; ZDS-1 names it (IHE RAD TF-2 4.4)."""
    settings = Hl7DestinationSettings(sending_application="DEMO_RIS", receiving_application="ECHO_AGENT")
    head = header(settings, ("ORM", "O01", "ORM_O01"), uid=f"{order.study_instance_uid}.9", at=at)
    placer: Value = (order.placer_number, "DEMO_RIS")
    lines = [
        segment(
            "PID",
            {
                1: "1",
                3: (text(image, "PatientID"), "", "", "", "PI"),
                5: name_value(text(image, "PatientName", is_name=True)),
                7: text(image, "PatientBirthDate"),
                8: text(image, "PatientSex"),
            },
        ),
        segment("ORC", {1: "NW", 2: placer, 7: ("", "", "", "", "", order.priority)}),
        segment(
            "OBR",
            {
                1: "1",
                2: placer,
                4: ("CXR", "Chest X-ray", "L"),
                18: order.accession_number,
                27: ("", "", "", "", "", order.priority),
                31: ("", order.question),
            },
        ),
        segment("ZDS", {1: (order.study_instance_uid, "ECHO_AGENT", "Application", "DICOM")}),
    ]
    return encoded(head, lines, "UNICODE UTF-8")


def received_result(message: Message) -> ReceivedResult:
    """Return the contents of a result or of an order change."""
    observations = list(message.all("OBX"))
    studies = [one.text(5, 1) for one in observations if one.text(3, 1) == "113014"]
    studies += [one.text(3, 1) for one in message.all("IPC")]
    request = next(message.all("OBR"))
    return ReceivedResult(
        study_instance_uid=next(iter(studies), ""),
        type=message.type,
        control_id=message.control_id,
        placer_number=request.text(2, 1),
        status=request.text(25),
        lines=tuple(one.text(5) for one in observations if one.text(2) == "TX"),
        findings=tuple(
            f"{one.text(3, 2)}: {one.text(5, 2).lower()}"
            for one in observations
            if one.text(2) == "CWE" and one.text(4).isdigit()
        ),
    )
