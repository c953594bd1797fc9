"""The command line: quick help, clear errors, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.commands.cli import app
from agent.database.session import Database
from agent.database.tables import Worker
from agent.foundation.errors import SchemaOutdated
from tests.unit.agent.commands.conftest import Run
from tests.unit.agent.rows import add_job, add_study, now_of


def imported(modules: str, among: set[str]) -> list[str]:
    """Which modules of `among` a new interpreter has loaded after importing others."""
    code = f"import sys, {modules}; print(*sorted({among} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


HEAVY = {
    "torch",
    "transformers",
    "spacy",
    "numpy",
    "pydicom",
    "pynetdicom",
    "sqlalchemy",
    "alembic",
    "starlette",
}


def test_cli_imports_nothing_heavy() -> None:
    """Every command imports its dependencies only when it runs."""
    assert imported("agent.commands.cli", HEAVY) == []


def test_help_loads_nothing_heavy() -> None:
    """Help is shown at once: modules that are slow to load are not loaded for it."""
    code = (
        "import contextlib, io, runpy, sys\n"
        "sys.argv = ['echo-agent', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:\n"
        "    runpy.run_module('agent', run_name='__main__')\n"
        f"print('status' in shown.getvalue(), *sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True"]


def test_listener_is_wired_without_the_network() -> None:
    """The modules of the listener import neither torch nor transformers."""
    listener = "agent.service.wiring, agent.receive.scp, agent.service.ticks, agent.receive.reconcile_files"
    assert imported(listener, {"torch", "transformers"}) == []


def test_our_error_is_one_clear_line_and_status_2(run: Run) -> None:
    """An error raised on purpose is shown without a traceback, and says what to do."""
    result = run("status")
    assert result.exit_code == 2
    assert result.stderr.startswith("echo-agent: the database has schema revision none")
    assert "echo-agent db upgrade" in result.stderr
    assert "Traceback" not in result.stderr


def test_hint_is_the_same_for_people_and_for_programs(run: Run) -> None:
    """An error says what to do, on the screen and in JSON alike."""
    hint = SchemaOutdated.hint
    assert f"-> {hint}" in run("queue", "list").stderr
    said = json.loads(run("queue", "list", "--json").stdout)["error"]
    assert ("schema-outdated", hint, False) == (said["code"], said["hint"], said["retryable"])


def test_unforeseen_error_hides_its_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a library's exception may quote patient data: only its place and type are shown."""

    def fail(_settings: object) -> None:
        raise RuntimeError("CANARY^PATIENT")

    monkeypatch.setattr("agent.service.wiring.open_database", fail)
    result = run("status")
    assert result.exit_code == 70
    assert "RuntimeError" in result.stderr
    assert "CANARY" not in result.stderr + result.stdout


def test_config_check_lists_what_is_wrong(config: Path, run: Run) -> None:
    """An invalid file fails with the path of each wrong value; a valid one is reported as such."""
    assert run("config", "check").stdout == "the configuration is valid\n"
    config.write_text("listener: {port: -1}\nmodel: {device: tpu}", encoding="utf-8")
    result = run("config", "check")
    assert result.exit_code == 2
    assert "listener.port" in result.stderr
    assert "model.device" in result.stderr


def test_config_show_prints_what_is_in_force(run: Run, tmp_path: Path) -> None:
    """The file's values are shown with the defaults, as YAML or as JSON."""
    assert f"path: {tmp_path / 'instances'}" in run("config", "show").stdout
    shown = json.loads(run("config", "show", "--json").stdout)
    assert (shown["listener"]["port"], shown["storage"]["min_free_mb"]) == (11112, 0.0)


def test_db_upgrade_says_what_it_did(run: Run) -> None:
    """The first run creates the tables, the second has nothing to do."""
    assert "from revision none to" in run("db", "upgrade").stdout
    assert "up to date" in run("db", "upgrade").stdout


def test_status_without_processes_is_critical(run: Run, database: Database) -> None:
    """Exit status 2 and the missing processes by name, so that monitoring needs no parser."""
    result = run("status", "--json")
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert (answer["level"], [one["code"] for one in answer["problems"]]) == (
        "critical",
        ["no-listener", "no-worker"],
    )


@pytest.mark.parametrize(("state", "expected"), [("DELIVERED", 0), ("DEAD", 1)])
def test_status_exit_tells_how_the_service_is(
    run: Run, database: Database, state: str, expected: int
) -> None:
    """The exit status is 0 when all is well, and 1 when a person should look."""
    at = now_of(database)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.1", at=at - timedelta(hours=1)), state, at=at)
        for role in ("listener", "worker"):
            session.add(Worker(id=role, role=role, host="h", pid=1, about={}, started_at=at, seen_at=at))
    assert run("status").exit_code == expected


def test_queue_list_shows_the_jobs_of_a_state(run: Run, job: int) -> None:
    """The list shows the job's number and state."""
    lines = run("queue", "list", "--state", "dead").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[:2] == [str(job), "DEAD"]
    assert run("queue", "list", "--state", "QUEUED").stdout == "no jobs\n"


def test_queue_list_refuses_an_unknown_state(run: Run, database: Database) -> None:
    """A misspelt state is a usage error that lists the known states."""
    result = run("queue", "list", "--state", "DAED")
    assert result.exit_code == 2
    assert "DELIVERED" in result.stderr


def test_queue_retry_revives_a_dead_delivery(run: Run, job: int) -> None:
    """What a PACS refused is sent again when a person requests it."""
    assert run("queue", "retry", str(job)).stdout == f"job {job} is DELIVERING again\n"
    assert "requested by a person" in run("queue", "show", str(job)).stdout


def test_queue_cancel_keeps_the_reason(run: Run, database: Database) -> None:
    """The history shows who stopped a job and why."""
    at = now_of(database)
    with database.transaction() as session:
        number = add_job(session, add_study(session, "1.1", at=at), "QUEUED", at=at).id
    assert run("queue", "cancel", str(number), "--reason", "sent twice").exit_code == 0
    shown = json.loads(run("queue", "show", str(number), "--json").stdout)
    assert (shown["job"]["state"], shown["steps"][-1]["reason"]) == ("CANCELED", "sent twice")
    assert shown["steps"][-1]["actor"].startswith("cli:")


def test_queue_prioritise_changes_the_priority(run: Run, job: int) -> None:
    """The new priority is shown."""
    assert run("queue", "prioritise", str(job), "0").exit_code == 0
    assert json.loads(run("queue", "show", str(job), "--json").stdout)["job"]["priority"] == 0


def test_study_show_has_the_whole_history(run: Run, job: int) -> None:
    """A study's jobs and states are shown by its UID."""
    shown = json.loads(run("study", "show", "1.2.3", "--json").stdout)
    assert [one["job"]["job_id"] for one in shown["jobs"]] == [job]
    assert "DEAD" in run("study", "show", "1.2.3").stdout


def test_study_show_of_an_unknown_study_is_an_error(run: Run, database: Database) -> None:
    """A study that was never received is reported as unknown, with status 2."""
    result = run("study", "show", "9.9.9")
    assert (result.exit_code, "[not-found]" in result.stderr) == (2, True)


def test_sr_show_refuses_what_is_no_dicom(tmp_path: Path) -> None:
    """A file that is not DICOM ends with status 2 and no traceback."""
    (tmp_path / "text.dcm").write_text("no DICOM", encoding="utf-8")
    result = CliRunner().invoke(app, ["sr", "show", str(tmp_path / "text.dcm")])
    assert (result.exit_code, "Traceback" in result.stderr) == (2, False)


def test_sr_show_and_validate_read_a_foreign_report(shared_data: Path) -> None:
    """Any SR can be shown; another product's does not pass validation."""
    path = str(shared_data / "06_sr" / "highdicom_sr_document.dcm")
    assert "Imaging Measurement Report" in CliRunner().invoke(app, ["sr", "show", path]).stdout
    assert CliRunner().invoke(app, ["sr", "validate", path]).exit_code == 1
