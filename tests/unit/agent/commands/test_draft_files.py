"""`echo-agent draft`: an error in one file or study never stops the run over the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.commands import draft_files as module
from agent.commands.cli import app
from agent.commands.draft_files import Drafted, draft_files
from agent.foundation.settings.tree import Settings
from tests.support.films import chest_film, file_bytes

FIRST, SECOND = "1.2.1", "1.2.2"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with two studies of one film each."""
    folder = tmp_path / "films"
    folder.mkdir()
    for uid in (FIRST, SECOND):
        film = chest_film(StudyInstanceUID=uid, SOPInstanceUID=f"{uid}.1", SeriesInstanceUID=f"{uid}.0")
        (folder / f"{uid}.dcm").write_bytes(file_bytes(film))
    return folder


def failing_once(original: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose first call raises an unforeseen error that quotes the patient."""
    calls = iter((True,))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls, False):
            raise ZeroDivisionError("DOE^JANE")
        return original(*arguments, **named)

    return call


def states(results: tuple[Drafted, ...]) -> list[tuple[str, str | None]]:
    """The state and code of each result."""
    return [(one.state, one.code) for one in results]


@pytest.mark.parametrize("step", ["read_stored", "read_study", "draft_record", "encode", "_write"])
def test_unforeseen_fault_at_any_step_leaves_the_other_study(
    step: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that raises anything is listed without its data, and the other study is drafted."""
    monkeypatch.setattr(module, step, failing_once(getattr(module, step)))
    results = draft_files([films], Settings(), tmp_path / "out")
    assert states(results) == [("FAILED", "unexpected"), ("DRAFTED", None)]
    assert "DOE" not in str(results)
    assert "ZeroDivisionError" in (results[0].reason or "")
    assert [path.exists() for path in results[1].sr] == [True, True]


def test_fault_of_routing_or_reporter_leaves_the_other_study(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of the rules and of the network are caught per study too."""
    reporter = module.load_reporter(Settings())
    for owner, name in ((module.Router, "select"), (type(reporter), "draft_many")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failing_once(getattr(owner, name)))
            results = draft_files([films], Settings(), None)
        assert states(results) == [("FAILED", "unexpected"), ("DRAFTED", None)]


def test_command_drafts_the_rest_and_its_exit_status_says_that_one_failed(
    films: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    """Exit status 1, with the code of the study that failed and none for the other."""
    monkeypatch.setattr(module, "read_study", failing_once(module.read_study))
    result = CliRunner().invoke(app, ["draft", str(films), "--json", "--config", str(config)])
    reports = json.loads(result.stdout)["reports"]
    assert (result.exit_code, [one["code"] for one in reports]) == (1, ["unexpected", None])
    assert "DOE" not in result.output
