"""`echo-agent status`: one screen for people, one object for programs, three exit statuses."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from agent.commands.demo.pacs import running_pacs
from agent.database.session import Database
from agent.database.tables import Worker
from agent.operations.status import (
    DestinationStatus,
    Latency,
    ProbeAnswer,
    ProcessStatus,
    ServiceStatus,
    Trouble,
)
from agent.operations.throughput import Throughput
from tests.unit.agent.commands.conftest import Run
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

# pynetdicom leaves closing the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ABOUT: dict[str, dict[str, Any]] = {
    "listener": {"ae_title": "ECHO_AGENT", "port": 11112, "associations": 2, "counts": {"accepted": 3}},
    "worker": {"model": "net", "version": "1", "device": "cuda:0", "demonstration": True, "slots": 4}
    | {"gpu_memory_used": 30e9, "gpu_memory_total": 80e9},
    "deliverer": {
        "answers": {"gone": {"reachable": False, "words": "no", "at": "2026-01-01T00:00:00+00:00"}}
    },
}


@pytest.fixture
def schema(repository: Path) -> dict[str, Any]:
    """The documented schema."""
    found: dict[str, Any] = json.loads((repository / "docs" / "status.schema.json").read_text("utf-8"))
    return found


@pytest.fixture
def busy(config: Path, database: Database) -> None:
    """A service with everything: processes, studies in progress, a dead job, an unreachable PACS."""
    with config.open("a", encoding="utf-8") as file:
        file.write("destinations: [{name: gone, host: 127.0.0.1, port: 1, ae_title: GONE}]\n")
    at = now_of(database) - timedelta(minutes=1)
    with database.transaction() as session:
        for role, about in ABOUT.items():
            session.add(
                Worker(
                    id=f"{role}@h:1",
                    role=role,
                    host="h",
                    pid=1,
                    about=about,
                    started_at=at,
                    seen_at=now_of(database),
                )
            )
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at + timedelta(seconds=4), stored_after_s=2)
        add_job(session, add_study(session, "1.2", at=at), "QUEUED", at=at)
        add_job(
            session, add_study(session, "1.3", at=at), "DEAD", at=at, code="delivery-refused", reason="0xA900"
        )


def errors_of(schema: dict[str, Any], answer: Any) -> list[str]:
    """Return where an answer violates the schema."""
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(answer)]


@pytest.mark.parametrize(
    ("definition", "made_from"),
    [
        ("process", ProcessStatus),
        ("destination", DestinationStatus),
        ("latency", Latency),
        ("throughput", Throughput),
        ("trouble", Trouble),
        (None, ServiceStatus),
    ],
)
def test_schema_has_every_field(schema: dict[str, Any], definition: str | None, made_from: Any) -> None:
    """Each field of the status is in the schema."""
    properties = (schema if definition is None else schema["$defs"][definition])["properties"]
    fields = {one.name for one in dataclasses.fields(made_from)}
    assert set(properties) - {"level", "problems"} == fields
    assert {one.name for one in dataclasses.fields(ProbeAnswer)} == set(
        schema["$defs"]["answer"]["oneOf"][1]["properties"]
    )


@pytest.mark.usefixtures("busy")
def test_status_json_is_what_the_schema_says(run: Run, schema: dict[str, Any]) -> None:
    """Monitoring can rely on the schema, with data in every part of the answer."""
    Draft202012Validator.check_schema(schema)
    answer = json.loads(run("status", "--json").stdout)
    assert errors_of(schema, answer) == []
    assert (len(answer["processes"]), len(answer["troubles"]), answer["jobs"]["QUEUED"]) == (3, 1, 1)


def test_status_json_says_so_when_the_database_is_not_ready(run: Run, schema: dict[str, Any]) -> None:
    """A program gets its JSON object even then."""
    result = run("status", "--json")
    answer = json.loads(result.stdout)
    assert (errors_of(schema, answer), result.exit_code) == ([], 2)
    assert (answer["level"], answer["problems"][0]["code"]) == ("critical", "schema-outdated")


@pytest.mark.usefixtures("busy")
def test_status_shows_everything_on_one_screen(run: Run) -> None:
    """The level, what to do, the headline figure, every part, and the last errors with their remedy."""
    lines = run("status").stdout.splitlines()
    assert lines[0].startswith("WARNING 2 problems")
    text = "\n".join(lines)
    for part in (
        "last image → PACS   hour 6.0 s median, 6.0 s p95, 6.0 s p99",
        "last hour           ",
        "QUEUED 1, DELIVERED 1, DEAD 1; oldest queued for ",
        "ECHO_AGENT port 11112, 2 associations",
        "net 1 on cuda:0, DEMONSTRATION MODEL, GPU memory 30 of 80 GB, 4 slots",
        "→ gone              ! the destination cannot be reached",
        "GB free",
        "job 3 DEAD  delivery-refused: 0xA900",
        "→ check in the PACS that it accepts our SOP classes and AE title, then `dead retry`",
    ):
        assert part in text
    assert len(lines) < 40


def test_status_asks_the_destinations_now(run: Run, config: Path, database: Database, tmp_path: Path) -> None:
    """A PACS that answers C-ECHO is shown as reachable; with --no-echo no C-ECHO is sent."""
    with running_pacs(tmp_path / "pacs") as pacs:
        with config.open("a", encoding="utf-8") as file:
            place = f"host: {pacs.host}, port: {pacs.port}, ae_title: {pacs.ae_title}"
            file.write(f"destinations: [{{name: there, {place}}}]\n")
        (asked,) = json.loads(run("status", "--json").stdout)["destinations"]
        (unasked,) = json.loads(run("status", "--json", "--no-echo").stdout)["destinations"]
    assert (asked["answer"]["reachable"], unasked["answer"]) == (True, None)


@pytest.mark.usefixtures("busy")
def test_status_knows_without_asking_what_the_deliverer_heard(run: Run) -> None:
    """The status has each destination's last answer from the deliverer's heartbeat."""
    (gone,) = json.loads(run("status", "--json", "--no-echo").stdout)["destinations"]
    assert (gone["answer"]["reachable"], gone["answer"]["words"]) == (False, "no")


def test_status_watch_shows_it_again(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It continues until Ctrl-C, which is not an error."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("agent.commands.status.time.sleep", pause)
    result = run("status", "--watch", "--every", "2")
    assert (result.exit_code, pauses) == (0, [2.0, 2.0, 2.0])
    assert "again every 2 s" in result.stdout


def test_status_watch_survives_the_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is not usable, the screen says so."""

    def end(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.commands.status.time.sleep", end)
    result = run("status", "--watch")
    assert (result.exit_code, "schema-outdated" in result.stdout) == (0, True)


def test_watch_writes_whole_pictures_into_a_pipe(config: Path, database: Database) -> None:
    """Each screen is written at once, without control characters; closing the pipe ends it quietly."""
    command = ["status", "--watch", "--every", "1", "--no-echo", "--config", str(config)]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    pictures = 0
    for line in process.stdout:
        assert "\x1b" not in line
        pictures += bool(re.match(r"\d{4}-\d\d-\d\dT", line))
        if pictures == 2:
            break
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
