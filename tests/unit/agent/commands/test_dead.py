"""`dead list|show|retry` and backups of the database: what an operator needs at night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.database.session import Database
from agent.database.tables import Worker
from agent.operations.advice import ADVICE, OTHERWISE
from tests.unit.agent.commands.conftest import Run
from tests.unit.agent.rows import add_job, add_study, now_of


@pytest.fixture
def failed(database: Database) -> int:
    """A job that is FAILED because its pixels cannot be read."""
    at = now_of(database)
    with database.transaction() as session:
        return add_job(session, add_study(session, "1.9", at=at), "FAILED", at=at, code="image-unreadable").id


def test_dead_list_says_what_to_do(run: Run, job: int, failed: int) -> None:
    """Each stopped job is listed with its code and the advice for it, as text and as JSON."""
    text = run("dead", "list").stdout
    assert (ADVICE["delivery-refused"] in text, f"job {failed} FAILED" in text) == (True, True)
    answer = json.loads(run("dead", "list", "--json").stdout)
    assert {one["job"]["job_id"]: one["advice"] for one in answer} == {
        job: ADVICE["delivery-refused"],
        failed: ADVICE["image-unreadable"],
    }


def test_dead_list_picks_a_code(run: Run, job: int, failed: int) -> None:
    """`--code` lists the jobs of one cause."""
    answer = json.loads(run("dead", "list", "--json", "--code", "image-unreadable").stdout)
    assert [one["job"]["job_id"] for one in answer] == [failed]
    assert run("dead", "list", "--code", "never-seen").stdout == "nothing is dead with the code never-seen\n"


def test_dead_list_of_nothing(run: Run, database: Database) -> None:
    """An empty list is reported as such."""
    assert run("dead", "list").stdout == "nothing is dead\n"


def test_dead_show_ends_with_the_advice(run: Run, job: int) -> None:
    """The job is shown with what to do at the end."""
    lines = run("dead", "show", str(job)).stdout.splitlines()
    assert (lines[0], lines[-1]) == (
        f"job {job}, revision 1: DEAD delivery-refused",
        f"→ {ADVICE['delivery-refused']}",
    )
    assert json.loads(run("dead", "show", str(job), "--json").stdout)["advice"] == ADVICE["delivery-refused"]


def test_dead_retry_tries_those_of_one_code(run: Run, job: int, failed: int) -> None:
    """What the PACS refused is sent again, and nothing else."""
    result = run("dead", "retry", "--all", "--code", "delivery-refused")
    assert (result.stdout, result.exit_code) == (f"job {job} is DELIVERING again\n", 0)
    assert [one["job"]["job_id"] for one in json.loads(run("dead", "list", "--json").stdout)] == [failed]


def test_dead_retry_goes_on_after_one_that_cannot(run: Run, job: int) -> None:
    """An unknown number is reported, the other jobs are retried, and the exit status is 1."""
    result = run("dead", "retry", "999", str(job))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "job 999: there is no job 999 [invalid-transition]",
        f"job {job} is DELIVERING again",
    ]


def test_dead_retry_needs_to_be_told_which(run: Run, database: Database) -> None:
    """Without a number or `--all`, nothing is retried."""
    result = run("dead", "retry")
    assert (result.exit_code, "--all" in result.stderr) == (2, True)


def test_advice_stands_in_the_documents(repository: Path) -> None:
    """The documentation and the screen give the same advice for a code."""
    rows = dict(
        line.split("|", 2)[1:]
        for line in (repository / "docs" / "operations.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    )
    said = {name.strip(" `"): text for name, text in rows.items()}
    assert {code for code, advice in ADVICE.items() if advice not in said.get(code, "")} == set()
    assert OTHERWISE not in ADVICE.values()


def test_database_goes_back_to_its_backup(run: Run, job: int, database: Database, tmp_path: Path) -> None:
    """After a backup, a change and a restore, the job is as it was."""
    assert run("db", "backup").exit_code == 0
    (made,) = (tmp_path / "backups").iterdir()
    run("queue", "retry", str(job))
    result = run("db", "restore", str(made), "--yes")
    assert (result.exit_code, "echo-agent db upgrade" in result.stdout) == (0, True)
    assert json.loads(run("queue", "show", str(job), "--json").stdout)["job"]["state"] == "DEAD"


def test_restore_refuses_while_the_service_runs(run: Run, database: Database, tmp_path: Path) -> None:
    """A running process would write to the database that is being replaced."""
    run("db", "backup", str(tmp_path / "one.db"))
    at = now_of(database)
    with database.transaction() as session:
        session.add(
            Worker(id="listener@h:1", role="listener", host="h", pid=1, about={}, started_at=at, seen_at=at)
        )
    result = run("db", "restore", str(tmp_path / "one.db"), "--yes")
    assert (result.exit_code, "still running: listener@h:1" in result.stderr) == (2, True)


def test_restore_asks_first(run: Run, job: int, tmp_path: Path) -> None:
    """Without confirmation nothing is replaced."""
    run("db", "backup", str(tmp_path / "one.db"))
    run("queue", "retry", str(job))
    assert run("db", "restore", str(tmp_path / "one.db"), given="n\n").exit_code == 1
    assert json.loads(run("queue", "show", str(job), "--json").stdout)["job"]["state"] == "DELIVERING"
