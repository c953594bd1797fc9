"""What to do about an error: the remedy of this case, otherwise the hint of its kind."""

from __future__ import annotations

import json

import pytest

from agent.commands.common import _print_error
from agent.commands.doctor_hl7 import receiver_found
from agent.commands.doctor_http import said
from agent.foundation.errors import AgentError, DeliveryFailed
from agent.foundation.settings.tree import DestinationSettings
from agent.network.fhir_client import open_fhir
from agent.network.scu import ConnectionLost

WORDS = "the server answered: 500; twice"
CASES = [
    (ConnectionLost(WORDS, remedy="restart it: now; please"), "restart it: now; please"),
    (ConnectionLost(WORDS), DeliveryFailed.hint),
]


@pytest.mark.parametrize(("error", "advice"), CASES)
def test_error_is_shown_with_its_remedy(
    error: AgentError, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same is shown on the screen and in JSON; the finding is not cut at a colon or semicolon in it."""
    _print_error(error, as_json=True)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"echo-agent: {WORDS} [delivery-failed]", f"  -> {advice}"]
    found = json.loads(shown.out)["error"]
    assert (found["text"], found["hint"]) == (WORDS, advice)


def test_text_that_is_stored_has_both() -> None:
    """`dead list` and `status` show both the finding and the remedy of a job."""
    assert str(CASES[0][0]) == f"{WORDS}; restart it: now; please"
    assert str(CASES[1][0]) == WORDS


def test_doctor_takes_the_remedy_of_the_error() -> None:
    """An error without its own remedy gets the usual one of the check."""
    assert said(CASES[0][0], "usual") == (WORDS, "restart it: now; please")
    assert said(CASES[1][0], "usual") == (WORDS, "usual")


def test_doctor_at_an_hl7_port_where_nothing_listens(free_port: int) -> None:
    """The address, with its colons, is part of the finding."""
    at = {"name": "ris", "kind": "hl7", "host": "127.0.0.1", "port": free_port, "tls": {}}
    hl7 = {"receiving_application": "RIS"}
    found = receiver_found(DestinationSettings.model_validate({**at, "hl7": hl7}), 20)
    assert found == (
        f"127.0.0.1:{free_port}: nothing listens at this port",
        "start the receiver, or correct `port`",
    )


def test_web_errors_have_a_remedy(free_port: int) -> None:
    """A FHIR server that cannot be reached."""
    at = {"name": "emr", "kind": "fhir", "fhir": {"url": f"http://127.0.0.1:{free_port}/fhir"}}
    with (
        open_fhir(DestinationSettings.model_validate(at)) as connection,
        pytest.raises(ConnectionLost) as lost,
    ):
        connection.capabilities()
    assert lost.value.remedy == "start the service there, or correct the port"
    assert "start the service" not in lost.value.finding
