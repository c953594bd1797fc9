"""The hostile files and bodies of the C-STORE tests over HTTP: each is answered and accounted for."""

from __future__ import annotations

import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from agent.database.session import Database
from agent.database.tables import Instance, Quarantined
from agent.service.http_server import HttpServer
from benchmarks.receive_stow_client import BOUNDARY, MEDIA_TYPE, part10
from benchmarks.stow_fuzz import fuzz, serving
from tests.integration.receive.test_fuzz import SAMPLES, disguised

pytestmark = pytest.mark.integration


@pytest.fixture
def stow(tmp_path: Path) -> Iterator[tuple[HttpServer, Database]]:
    """A running STOW-RS server, and its database."""
    with serving(tmp_path) as running:
        yield running


def post(server: HttpServer, *files: bytes) -> tuple[int, bytes]:
    """Send files in one request; return status and body of the answer."""
    edge = BOUNDARY.encode()
    parts = b"".join(b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (edge, one) for one in files)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", "/studies", parts + b"--%s--\r\n" % edge, {"Content-Type": MEDIA_TYPE})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def statuses(body: bytes) -> tuple[int, list[int]]:
    """The number of stored parts, and the failure reasons of the others."""
    answer = json.loads(body)
    failed = answer.get("00081198", {}).get("Value", [])
    stored = answer.get("00081199", {}).get("Value", [])
    return len(stored), [one["00081197"]["Value"][0] for one in failed]


def test_every_sample_over_http_is_answered_and_accounted_for(
    stow: tuple[HttpServer, Database], shared_data: Path
) -> None:
    """Each odd file is stored, repeated, quarantined or refused, and the sound file sent with it is kept."""
    server, database = stow
    files = [
        path.read_bytes() for folder in SAMPLES for path in sorted((shared_data / folder).rglob("*.dcm"))
    ]
    ends: Counter[int] = Counter()
    neighbours = 0
    for content in (make(one) for one in files for make in (bytes, disguised)):
        neighbours += 1
        status, answer = post(server, content, part10(2_000, neighbours))
        assert status in (200, 202), answer
        stored, failed = statuses(answer)
        assert stored + len(failed) == 2
        ends.update(failed or [0])
    assert set(ends) <= {0x0000, 0x0122, 0xA900, 0xC000}
    with database.reading() as session:
        kept = set(session.scalars(select(Instance.sop_instance_uid)))
        quarantined = session.scalar(select(func.count()).select_from(Quarantined))
    assert all(f"2.25.{number:032d}" in kept for number in range(1, neighbours + 1))
    assert (quarantined or 0) <= ends[0xA900] + ends[0xC000]


def test_mutated_requests_lose_no_neighbour(stow: tuple[HttpServer, Database]) -> None:
    """Damage after a sound part never loses it, is always answered, and leaves the server working.

    `python -m benchmarks.stow_fuzz` does the same ten thousand times.
    """
    server, database = stow
    outcome = fuzz(server, database, range(1, 121), random.Random(11))
    assert outcome.lost == []
    assert set(outcome.ends) <= {"200", "202", "400", "409", "413", "415"}, outcome.ends
    assert post(server, part10(2_000, 900_000_000))[0] == 200
