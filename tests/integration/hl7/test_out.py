"""Results sent to a receiver: its answers, missing answers and TLS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agent.commands.doctor_hl7 import receiver_found
from agent.foundation.errors import AgentError, DeliveryFailed, DeliveryRefused
from agent.foundation.settings.destination import DestinationSettings
from agent.messages.hl7.parse import parse
from agent.network.mllp import open_mllp
from agent.network.scu import ConnectionLost
from agent.network.tcp_client import connect
from tests.integration.delivery.certificates import Certificates
from tests.support.hl7_messages import hl7, msh
from tests.support.mllp import receiving

pytestmark = pytest.mark.integration


@dataclass
class Document:
    """A message to send."""

    content: bytes = hl7(msh("ORU^R01^ORU_R01", "ID1"), "PID|1||4711||Secretname^Sue", "OBR|1")
    sop_class_uid: str = ""


def acks(*codes: str, control_id: str = "ID1", extra: str = "") -> Callable[[bytes], list[bytes]]:
    """Answer every message with these codes."""

    def answer(_message: bytes) -> list[bytes]:
        return [
            hl7(msh("ACK", "R1"), f"MSA|{code}|{control_id}|", *([extra] if extra else [])) for code in codes
        ]

    return answer


def send(
    answer: Any, *, mode: str = "original", timeout_s: float = 30, **values: Any
) -> tuple[Any, list[bytes]]:
    """Send one message; return the error (None: accepted) and what the receiver got."""
    context = values.pop("context", None)
    with receiving(answer, context) as receiver:
        destination = DestinationSettings(
            name="ris", kind="hl7", host="127.0.0.1", port=receiver.port, timeout_s=timeout_s,
            hl7={"acknowledgement": mode}, **values,
        )  # fmt: skip
        try:
            with open_mllp(destination) as connection:
                return connection.store(Document()), receiver.got
        except AgentError as error:
            return error, receiver.got


@pytest.mark.parametrize(
    ("mode", "codes"),
    [
        ("original", ["AA"]),
        ("original", ["CA"]),
        ("enhanced", ["CA", "AA"]),
        ("enhanced", ["AA"]),
        ("commit", ["CA"]),
    ],
)
def test_message_is_taken_by_the_answer_of_its_mode(mode: str, codes: list[str]) -> None:
    """AA in original mode, CA and then AA in enhanced mode; the bytes arrive as they were stored."""
    assert send(acks(*codes), mode=mode) == (None, [Document().content])


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["AE"], DeliveryRefused),
        (["CE"], DeliveryRefused),
        (["CA", "AE"], DeliveryRefused),
        (["AR"], DeliveryFailed),
        (["CR"], DeliveryFailed),
        (["CA"], ConnectionLost),
        ([], ConnectionLost),
    ],
)
def test_message_that_is_not_taken_is_dead_or_tried_again(codes: list[str], error: type[AgentError]) -> None:
    """An error is final; a rejection or a missing answer is retried."""
    silent = error is ConnectionLost
    found, _got = send(acks(*codes), mode="enhanced", timeout_s=0.5 if silent else 60.0)
    assert type(found) is error


def test_error_keeps_the_receivers_words_without_the_patient() -> None:
    """The dead letter keeps the receiver's text but none of the patient data quoted in it."""
    extra = "ERR|||204^Unknown key identifier^HL70357|E||||no order for Secretname 4711 in RIS"
    found, _got = send(acks("AE", extra=extra))
    assert str(found) == "the receiver answered AE: no order for … … in RIS"


@pytest.mark.parametrize(
    ("answer", "mode", "timeout_s", "words"),
    [
        (acks(), "original", 0.5, "see the receiver's log"),
        # The receiver needs enough time to answer.
        (acks("AA", control_id="OTHER"), "original", 3.0, "MSA-2 is not its MSH-10"),
        (acks("CA"), "enhanced", 3.0, "`hl7.acknowledgement: commit`"),
    ],
)
def test_missing_acknowledgement_is_told_apart_by_what_came(
    answer: Any, mode: str, timeout_s: float, words: str
) -> None:
    """No answer, an answer to another message, or only the commit: each is named, and is retryable."""
    error, _got = send(answer, mode=mode, timeout_s=timeout_s)
    assert (type(error), error.retryable, words in str(error)) == (ConnectionLost, True, True)


@pytest.mark.parametrize(
    ("name", "authority", "theirs", "words"),
    [
        ("agent", "ca", "pacs", ("accepts connections over TLS", "")),
        ("agent", "other-ca", "pacs", ("certificate is not trusted", "`tls.authorities`")),
        ("agent", "ca", "elsewhere", ("for another name", "`tls.server_name`")),
        ("stranger", "ca", "pacs", ("after the TLS handshake", "`tls.certificate`")),
        (None, "ca", "pacs", ("after the TLS handshake", "`tls.certificate`")),
    ],
)
def test_doctor_names_the_fault_of_tls_and_what_to_do(
    certificates: Certificates, name: str | None, authority: str, theirs: str, words: Any
) -> None:
    """Each TLS fault is named with its remedy; a receiver that requires our certificate gets it."""
    ours = certificates.ours(name, authority=authority)
    with receiving(acks("AA"), certificates.theirs(theirs)) as receiver:
        destination = DestinationSettings(
            name="ris", kind="hl7", host="127.0.0.1", port=receiver.port, tls=ours
        )
        found = receiver_found(destination, 30)
    assert [words[n] in found[n] for n in (0, 1)] == [True, True], found


def test_answer_to_another_message_does_not_count() -> None:
    """A late answer to an earlier message is ignored."""

    def late(message: bytes) -> list[bytes]:
        return [*acks("AE", control_id="OLD")(message), b"junk", *acks("AA")(message)]

    assert send(late)[0] is None


def test_receiver_that_is_not_there_is_tried_again() -> None:
    """Nothing listens."""
    with receiving(acks("AA")) as receiver:
        port = receiver.port
    destination = DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=port, timeout_s=1)
    with pytest.raises(ConnectionLost, match="nothing listens at this port"):
        connect(destination)


def test_tls_shows_our_certificate_and_demands_a_trusted_one(certificates: Certificates) -> None:
    """Authentication is mutual; a receiver with another authority's certificate gets nothing."""
    taken = send(acks("AA"), tls=certificates.ours(), context=certificates.theirs())
    assert taken == (None, [Document().content])
    refused, got = send(
        acks("AA"), tls=certificates.ours(authority="other-ca"), context=certificates.theirs()
    )
    assert (type(refused), got) == (ConnectionLost, [])
    assert "certificate is not trusted" in str(refused)
    assert parse(Document().content).control_id == "ID1"
