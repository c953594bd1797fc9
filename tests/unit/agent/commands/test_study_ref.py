"""A study has one name in the logs of all processes, and `study show` prints it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from agent.foundation import log
from tests.unit.agent.commands.conftest import Run


def shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What a new process, with a random log key of its own, shows as JSON and as text."""
    names = []
    for arguments in (["--json"], []):
        monkeypatch.setattr(log, "_key", secrets.token_bytes(32))
        result = run("study", "show", "1.2.3", *arguments)
        assert result.exit_code == 0
        names.append(json.loads(result.stdout)["study_ref"] if arguments else result.stdout)
    return names[0], names[1]


def test_study_ref_is_the_same_in_every_process(run: Run, job: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is stored in the database, so that all processes use the same name for a study."""
    first, second = shown(run, monkeypatch), shown(run, monkeypatch)
    assert first[0] == second[0]
    assert f"study_ref {first[0]}" in first[1]
    assert "1.2.3" not in first[0]


def test_study_ref_follows_the_key_of_the_settings(
    run: Run, job: int, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`log.hash_key` makes the logs of several sites comparable."""
    before, _ = shown(run, monkeypatch)
    with config.open("a", encoding="utf-8") as file:
        file.write("log: {hash_key: a key that is long enough to count}\n")
    after, _ = shown(run, monkeypatch)
    log.use_hash_key("a key that is long enough to count")
    assert (after, after != before) == (log.study_ref("1.2.3"), True)
