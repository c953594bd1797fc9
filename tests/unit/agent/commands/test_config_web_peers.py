"""`config check` on the credentials for servers that are reached over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.commands.configuration.findings import findings
from agent.foundation.settings.tree import Settings

SECRET = "t0ken-of-the-archive"


def found(**sections: object) -> dict[str, str]:
    """The problems found, by place."""
    return {one.place: one.text for one in findings(Settings.model_validate(sections), None)}


def peers(url: str, credentials: dict[str, object]) -> dict[str, object]:
    """Each kind of server reached over HTTP, with the same credentials."""
    return {
        "destinations": [
            {"name": "web", "stow_url": f"{url}/web", "credentials": credentials},
            {"name": "emr", "kind": "fhir", "fhir": {"url": f"{url}/fhir", "credentials": credentials}},
        ],
        "archive": {"url": f"{url}/web", "credentials": credentials},
        "signed_reports": {"fhir": {"url": f"{url}/signed", "credentials": credentials}},
    }


PLACES = [
    "archive.credentials",
    "destinations[0].credentials",
    "destinations[1].fhir.credentials",
    "signed_reports.fhir.credentials",
]


def test_secret_that_is_private_and_encrypted_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is reported, whether the secret is in a file or in the environment."""
    file = tmp_path / "token"
    file.write_text(SECRET, "utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("ARCHIVE_TOKEN", SECRET)
    for credentials in (
        {"token_file": file},
        {"token_variable": "ARCHIVE_TOKEN"},
        {"username": "echo", "password_file": file},
        {"username": "echo", "password_variable": "ARCHIVE_TOKEN"},
    ):
        assert found(**peers("https://pacs.example", credentials)) == {}


@pytest.mark.parametrize("key", ["token_file", "password_file"])
def test_secret_file_that_is_absent_open_or_empty_is_found(tmp_path: Path, key: str) -> None:
    """Each problem is reported with its place."""
    named = {"username": "echo"} if key == "password_file" else {}
    file = tmp_path / "secret"
    settings = peers("https://pacs.example", {key: file, **named})
    assert found(**settings) == {f"{one}.{key}": f"{file}: No such file or directory" for one in PLACES}
    file.write_text(SECRET, "utf-8")
    file.chmod(0o644)
    assert found(**settings) == {f"{one}.{key}": f"others can read {file}" for one in PLACES}
    file.write_text("", "utf-8")
    file.chmod(0o600)
    assert sorted(found(**settings)) == PLACES


def test_variable_that_is_not_set_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set is reported, as the service would send no secret."""
    monkeypatch.delenv("ARCHIVE_TOKEN", raising=False)
    assert sorted(found(**peers("https://pacs.example", {"token_variable": "ARCHIVE_TOKEN"}))) == PLACES


def test_secret_over_plain_http_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret over plain HTTP is reported, except on this machine."""
    monkeypatch.setenv("ARCHIVE_TOKEN", SECRET)
    credentials = {"token_variable": "ARCHIVE_TOKEN"}
    clear = found(**peers("http://pacs.example", credentials))
    assert clear == dict.fromkeys(PLACES, "the secret would go over the network in clear")
    assert found(**peers("http://127.0.0.1:8042", credentials)) == {}


def test_two_fhir_servers_are_two_destinations() -> None:
    """FHIR destinations are distinguished by their addresses."""
    servers = [
        {"name": name, "kind": "fhir", "fhir": {"url": f"https://{name}.example/r4"}} for name in ("a", "b")
    ]
    assert found(destinations=servers) == {}
    assert found(destinations=[servers[0], {**servers[0], "name": "c"}]) != {}
