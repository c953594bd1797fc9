"""The deliverer with servers that ask it to wait, refuse the token, or store while their answer is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Delivery
from agent.delivery.deliverer import Deliverer
from agent.foundation.settings.tree import DeliverySettings, DestinationSettings, Settings
from tests.integration.delivery.outbox import delivery_states, outbox, running, state_of
from tests.support.waiting import wait_for
from tests.support.web_peers import Heard, Reply, web_server

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]


def destination(kind: str, url: str, **fhir: Any) -> DestinationSettings:
    """A destination of a kind reached over HTTP."""
    place = {"stow_url": url} if kind == "stow" else {"fhir": {"url": url, **fhir}}
    return DestinationSettings(name="web", kind=kind, timeout_s=20, **place)


@pytest.mark.parametrize("kind", ["stow", "fhir"])
@pytest.mark.parametrize("status", [429, 503])
def test_server_that_asks_to_wait_is_left_alone(
    database: Database, letters: Letters, kind: str, status: int
) -> None:
    """Retry-After applies to the document and to all others, up to `delivery.longest_retry_s`."""
    clock = [1000.0]
    answers = [(status, {"Retry-After": "400"}, b""), (status, {"Retry-After": "86400"}, b"")]
    with web_server(lambda _request: answers.pop(0)) as server:
        settings = Settings(
            destinations=(destination(kind, server.url()),),
            delivery=DeliverySettings(first_retry_s=0.001, longest_retry_s=900),
        )
        deliverer = Deliverer(database, settings, chance=Random(1), seconds=lambda: clock[0])
        for number in (1, 2):
            outbox(database, letters(number), number, "web")
        deliverer.run_once()
        assert len(server.heard) == 1
        for wait_s in (399.0, 2.0, 899.0):
            clock[0] += wait_s
            deliverer.run_once()
        assert len(server.heard) == 2
    with database.reading() as session:
        now = database_now(session)
        rows = session.execute(select(Delivery.state, Delivery.run_after, Delivery.reason)).all()
    assert {row.state for row in rows} == {"PENDING"}
    first, second = sorted(row.run_after - now for row in rows)[-2:]
    assert timedelta(seconds=200) < first <= timedelta(seconds=400)
    assert timedelta(seconds=600) < second <= timedelta(seconds=900)


def test_refused_token_does_not_end_the_delivery(
    database: Database, letters: Letters, tmp_path: Path
) -> None:
    """A token server that refuses, fails or answers with a web page is asked again."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret", "utf-8")
    tokens: list[Reply] = [
        (401, {}, b'{"error": "invalid_client", "error_description": "s3cret"}'),
        (500, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b'{"error": "\\"s3cret\\""}'),
        (200, {}, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'),
    ]
    reasons: set[str | None] = set()

    def reply(request: Heard) -> Reply:
        if not request.path.endswith("/token"):
            return 200, {}, b""
        with database.reading() as session:
            reasons.update(session.scalars(select(Delivery.reason)))
        return tokens.pop(0) if len(tokens) > 1 else tokens[0]

    with web_server(reply) as server:
        where = destination(
            "fhir",
            server.url(),
            token_url=server.url(path="/token"),
            client_id="echo",
            client_secret_file=secret,
        )
        job_id = outbox(database, letters(1), 1, "web")
        end = running(database, where)
        try:
            wait_for(lambda: state_of(database, job_id) == "DELIVERED")
        finally:
            end()
    assert any("invalid_client" in (one or "") for one in reasons)
    assert not any("s3cret" in (one or "") for one in reasons)
    assert set(delivery_states(database)) == {"STORED"}


def test_stored_document_whose_answer_is_lost_is_delivered_once(database: Database, letters: Letters) -> None:
    """The connection ends after storing: the same bytes are sent again, and "already here" is success."""
    documents = letters(1)
    posted: list[str] = []
    there = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}

    def store(request: Heard) -> Reply:
        (uid,) = (one.sop_instance_uid for one in documents if one.content in request.body)
        posted.append(uid)
        if posted.count(uid) == 1:
            raise ConnectionResetError
        return 409, {"Content-Type": "application/dicom+json"}, json.dumps(there).encode()

    with web_server(store) as server:
        job_id = outbox(database, documents, 1, "web")
        end = running(database, destination("stow", server.url()))
        try:
            wait_for(lambda: state_of(database, job_id) == "DELIVERED")
        finally:
            end()
    assert sorted(posted) == sorted(one.sop_instance_uid for one in documents for _ in range(2))
    assert delivery_states(database) == ["STORED", "STORED"]
