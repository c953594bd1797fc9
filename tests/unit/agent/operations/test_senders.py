"""Which systems send, which were refused, and what to change."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import yaml

import agent.receive
from agent.database.audit.record import CUT_OFF, NO_CONTEXT, Action, Event, record
from agent.database.session import Database, database_now
from agent.foundation.settings.tree import AllowedPeer, ListenerSettings, Settings
from agent.operations.health import judge
from agent.operations.refusal_advice import refusal_advice
from agent.operations.senders import SenderRefusal, read_senders
from agent.operations.status import read_status
from agent.receive.peers import AssociationResult


def note(database: Database, action: Action, *, hours_ago: float = 0, **details: object) -> None:
    """Record an event of CR1 at 10.0.0.5."""
    with database.transaction() as session:
        at = database_now(session) - timedelta(hours=hours_ago)
        event = Event(action=action, actor="CR1", address="10.0.0.5", succeeded=False, details=details)
        record(session, event, at=at)


def test_status_warns_of_a_refused_sender_with_the_line_to_add(database: Database) -> None:
    """Equal refusals are one warning with their count; refusals older than a day are not shown."""
    note(database, Action.REFUSED, reason_code="unknown-caller", called="ECHO_AGENT", count=3)
    note(database, Action.REFUSED, reason_code="unknown-caller", called="ECHO_AGENT")
    note(database, Action.REFUSED, reason_code="full", hours_ago=30)
    settings = Settings()
    problems = [p for p in judge(read_status(database, settings), settings) if p.code == "sender-refused"]
    (problem,) = problems
    assert problem.text.startswith("CR1 at 10.0.0.5: 4 x unknown-caller in the last day")
    assert "`listener.allow` in config.yaml: - {ae_title: 'CR1', address: '10.0.0.5'}" in problem.text


def test_status_names_what_was_proposed_in_vain(database: Database) -> None:
    """The classes and transfer syntaxes are shown by name."""
    secondary = "1.2.840.10008.5.1.4.1.1.7"
    syntaxes = ["1.2.840.10008.1.2.1"]
    note(database, Action.FAULT, reason_code=NO_CONTEXT, sop_classes=[secondary], syntaxes=syntaxes)
    settings = Settings(listener=ListenerSettings(accept_secondary_capture=False))
    (problem,) = [p for p in judge(read_status(database, settings), settings) if p.code == "sender-refused"]
    assert "Secondary Capture Image Storage in Explicit VR Little Endian" in problem.text
    assert "accept_secondary_capture: true" in problem.text


def refusal(code: str, title: str = "CR1", role: str = "") -> SenderRefusal:
    """A sender's refusal."""
    return SenderRefusal(
        ae_title=title, called_ae_title="X", address="10.0.0.5", reason_code=code, count=1,
        last_at=datetime(2026, 1, 1), role=role,
    )  # fmt: skip


def reasons() -> set[str]:
    """Every reason for which the listener refuses or aborts an association, as its source names them."""
    text = "".join(path.read_text("utf-8") for path in Path(agent.receive.__path__[0]).glob("*.py"))
    named = re.findall(
        r"""(?:rejected\(|ProtocolViolation\(|_cut\(|violation or |return |reason_code = |"reason_code": )"""
        r"""["]([a-z]+(?:-[a-z]+)+)["]""",
        text,
    )
    judged = {one.reason_code for one in AssociationResult if one is not AssociationResult.ACCEPT}
    return {*named, *judged, NO_CONTEXT, CUT_OFF, "tls-failed", "request-timeout", "pdu-timeout"}


def test_every_refusal_has_an_advice_and_a_line_in_operations(repository: Path) -> None:
    """For every reason `status` and the document state what to do."""
    document = (repository / "docs" / "operations.md").read_text("utf-8")
    assert {"protocol-error", "pdu-too-long", "object-too-large", "no-context-proposed"} <= reasons()
    for code in reasons():
        assert "look at the sender's log; docs" not in refusal_advice(refusal(code), ListenerSettings()), code
        assert f"| `{code}` |" in document, code


def test_line_for_the_allow_list_is_yaml_whatever_the_title() -> None:
    """A quote breaks nothing; forbidden characters in a title are to be corrected at the sender."""
    advice = refusal_advice(refusal("unknown-caller", "O'BRIEN"), ListenerSettings())
    assert yaml.safe_load(advice.partition("config.yaml: ")[2]) == [
        {"ae_title": "O'BRIEN", "address": "10.0.0.5"}
    ]
    assert "give the sender an AE title" in refusal_advice(
        refusal("unknown-caller", "R??NTGEN"), ListenerSettings()
    )
    pinned = ListenerSettings(allow=(AllowedPeer(ae_title="CR1", certificate_sha256="a" * 64),))
    assert "certificate_sha256" in refusal_advice(refusal("unknown-caller"), pinned)


def test_advice_names_the_settings_of_the_port_that_refused() -> None:
    """HL7 senders and users of the worklist are not told to change the listener."""
    hl7 = refusal_advice(refusal("unknown-caller", "hl7", "hl7"), ListenerSettings())
    assert "`hl7.allow` in config.yaml: - {address: '10.0.0.5'}" in hl7
    assert "ups.ae_title" in refusal_advice(refusal("unknown-called", role="ups"), ListenerSettings())


def test_status_says_how_many_refusals_it_leaves_out(database: Database) -> None:
    """Ten are shown, and a port scan does not hide that there are more."""
    for number in range(13):
        note(database, Action.REFUSED, reason_code="unknown-called", called=f"PACS{number}")
    settings = Settings()
    problems = [p for p in judge(read_status(database, settings), settings) if p.code == "sender-refused"]
    assert (len(problems), problems[-1].text[:15]) == (11, "3 more refusals")


def test_senders_counts_associations_objects_and_refusals(database: Database) -> None:
    """Each sender has one line with merged counts."""
    for action, count in ((Action.ASSOCIATION, 2), (Action.RECEIVED, 5), (Action.NOT_TAKEN, 1)):
        note(
            database, action, count=count, **({"code": "storage-full"} if action is Action.NOT_TAKEN else {})
        )
    note(database, Action.FAULT, reason_code=CUT_OFF)
    (sender,) = read_senders(database, days=1).senders
    assert (sender.associations, sender.objects, sender.refused) == (2, 5, 2)
    assert {one.reason_code for one in sender.refusals} == {"storage-full", CUT_OFF}
