"""Settings: the file, the environment, and all problems reported at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.foundation.errors import SettingsError
from agent.foundation.settings.load import load_settings
from agent.foundation.settings.reference import masked, reference
from agent.foundation.settings.tree import DestinationSettings, Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of the person who runs the tests out."""
    import os

    for name in [one for one in os.environ if one.startswith("ECHO_AGENT_")]:
        monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    """Write a configuration file."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_without_a_file_are_the_defaults() -> None:
    """The service runs without any configuration."""
    assert load_settings() == Settings()


def test_settings_of_the_shipped_file_are_the_defaults(repository: Path) -> None:
    """The commented config.yaml changes no setting, so it documents the defaults."""
    assert load_settings(repository / "config.yaml") == Settings()


def test_settings_from_the_environment_win_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port in the environment overrides the file's and leaves the rest of the section unchanged."""
    monkeypatch.setenv("ECHO_AGENT_LISTENER__PORT", "104")
    loaded = load_settings(write(tmp_path, "listener: {port: 1, ae_title: HERE}"))
    assert (loaded.listener.port, loaded.listener.ae_title) == (104, "HERE")


def test_settings_report_every_problem_with_its_place(tmp_path: Path) -> None:
    """A wrong value and an unknown key are both reported, with their path in the file."""
    path = write(tmp_path, "listener: {port: 99999}\nstudies: {quite_time_s: 5}")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert "listener.port" in str(caught.value)
    assert "studies.quite_time_s" in str(caught.value)


@pytest.mark.parametrize("text", ["listener: [", "- a list", "just words"])
def test_settings_that_are_no_sections_are_refused(tmp_path: Path, text: str) -> None:
    """A file that is not YAML, or has no sections, gives a clear error."""
    with pytest.raises(SettingsError):
        load_settings(write(tmp_path, text))


def test_settings_of_a_missing_file_are_refused(tmp_path: Path) -> None:
    """A wrong path is an error and never means the defaults."""
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("pacs.example", False)],
)
def test_destination_knows_whether_it_is_this_machine(host: str, expected: bool) -> None:
    """The demonstration model's drafts may only be sent to loopback addresses."""
    assert DestinationSettings(name="p", host=host, port=1, ae_title="P").loopback is expected


def test_shown_settings_hide_secrets(tmp_path: Path) -> None:
    """`config show` prints neither the database's password nor the key of the log's hash."""
    path = write(tmp_path, "database: {url: 'postgresql://me:secret@db/echo'}\nlog: {hash_key: secret}")
    assert "secret" not in str(masked(load_settings(path)))


def test_reference_document_is_the_generated_one(repository: Path) -> None:
    """docs/settings.md is what `echo-agent config reference` prints."""
    assert (repository / "docs" / "settings.md").read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"priors": {"enabled": True}}, "section `archive`"),
        ({"studies": {"reconcile_with": "archive"}}, "section `archive`"),
        (
            {
                "archive": {"host": "pacs"},
                "priors": {"enabled": True, "move_destination": "ECHO_AGENT"},
            },
            "must differ from `listener.ae_title`",
        ),
    ],
)
def test_settings_of_an_archive_fit_together(values: dict[str, Any], problem: str) -> None:
    """Asking an archive needs its settings, and a move destination other than the listener's AE title."""
    with pytest.raises(ValidationError, match=re.escape(problem)):
        Settings(**values)
