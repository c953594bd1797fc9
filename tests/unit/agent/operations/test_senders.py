"""Who sends and what was refused, with what to change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.database.audit.record import CUT_OFF, NO_CONTEXT, Action, Event, record
from agent.database.session import Database, database_now
from agent.foundation.settings.tree import ListenerSettings, Settings
from agent.operations.health import judge
from agent.operations.refusal_advice import refusal_advice
from agent.operations.senders import SenderRefusal, read_senders
from agent.operations.status import read_status


def note(database: Database, action: Action, *, hours_ago: float = 0, **details: object) -> None:
    """Put an event of CR1 at 10.0.0.5 on record."""
    with database.transaction() as session:
        at = database_now(session) - timedelta(hours=hours_ago)
        event = Event(action=action, actor="CR1", address="10.0.0.5", succeeded=False, details=details)
        record(session, event, at=at)


def test_status_warns_of_a_refused_sender_with_the_line_to_add(database: Database) -> None:
    """Equal refusals are one warning with their number; what is older than a day is none."""
    note(database, Action.REFUSED, reason_code="unknown-caller", called="ECHO_AGENT", count=3)
    note(database, Action.REFUSED, reason_code="unknown-caller", called="ECHO_AGENT")
    note(database, Action.REFUSED, reason_code="full", hours_ago=30)
    settings = Settings()
    problems = [p for p in judge(read_status(database, settings), settings) if p.code == "sender-refused"]
    (problem,) = problems
    assert problem.text.startswith("CR1 at 10.0.0.5: 4 x unknown-caller in the last day")
    assert "`listener.allow` in config.yaml: - {ae_title: 'CR1', address: '10.0.0.5'}" in problem.text


def test_status_names_what_was_proposed_in_vain(database: Database) -> None:
    """The classes and syntaxes stand there by their names."""
    secondary = "1.2.840.10008.5.1.4.1.1.7"
    syntaxes = ["1.2.840.10008.1.2.1"]
    note(database, Action.FAULT, reason_code=NO_CONTEXT, sop_classes=[secondary], syntaxes=syntaxes)
    settings = Settings(listener=ListenerSettings(accept_secondary_capture=False))
    (problem,) = [p for p in judge(read_status(database, settings), settings) if p.code == "sender-refused"]
    assert "Secondary Capture Image Storage in Explicit VR Little Endian" in problem.text
    assert "accept_secondary_capture: true" in problem.text


@pytest.mark.parametrize(
    "code",
    [
        "unknown-caller", "unknown-called", "full", "protocol-version", "application-context", NO_CONTEXT,
        "no-context-proposed", "request-malformed", "no-association-request", "pdu-timeout", CUT_OFF,
        "something-new",
    ],
)  # fmt: skip
def test_every_refusal_has_an_advice(database: Database, code: str) -> None:
    """Whatever the reason is, there is something to do, and a quote in a title breaks no YAML."""
    with database.reading() as session:
        now = database_now(session)
    refusal = SenderRefusal(
        ae_title="O'BRIEN", called_ae_title="X", address="10.0.0.5", reason_code=code, count=1, last_at=now
    )
    advice = refusal_advice(refusal, ListenerSettings())
    assert advice
    assert code != "unknown-caller" or "'O''BRIEN'" in advice


def test_senders_counts_associations_objects_and_refusals(database: Database) -> None:
    """One line for each sender, with merged counts."""
    for action, count in ((Action.ASSOCIATION, 2), (Action.RECEIVED, 5), (Action.NOT_TAKEN, 1)):
        note(
            database, action, count=count, **({"code": "storage-full"} if action is Action.NOT_TAKEN else {})
        )
    note(database, Action.FAULT, reason_code=CUT_OFF)
    (sender,) = read_senders(database, days=1).senders
    assert (sender.associations, sender.objects, sender.refused) == (2, 5, 2)
    assert {one.reason_code for one in sender.refusals} == {"storage-full", CUT_OFF}
