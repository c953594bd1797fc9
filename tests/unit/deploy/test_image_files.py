"""The Containerfile and the compose file: everything they name exists, and nothing runs as root."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from agent.commands.cli import app
from agent.foundation.settings.tree import Settings


@pytest.fixture
def containerfile(repository: Path) -> str:
    """The Containerfile with its continuation lines joined."""
    text = (repository / "deploy" / "Containerfile").read_text(encoding="utf-8")
    return text.replace("\\\n", " ")


@pytest.fixture
def services(repository: Path) -> dict[str, Any]:
    """The services of the compose file."""
    text = (repository / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def test_containerfile_ends_without_root(containerfile: str) -> None:
    """The last stage has its own user, a health check and no tools of the first stage."""
    last = containerfile.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in last
    assert "python3-venv" not in last


def test_containerfile_copies_what_exists_and_is_not_ignored(repository: Path, containerfile: str) -> None:
    """Every copied source exists and passes the ignore file, and every package is copied."""
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", containerfile, re.MULTILINE)
        for name in line.split()[:-1]
    }
    ignore = (repository / ".containerignore").read_text(encoding="utf-8").split()
    assert [name for name in sorted(copied) if not (repository / name).exists()] == []
    assert [name for name in sorted(copied) if f"!{name}" not in ignore] == []
    assert copied >= {"agent", "model", "dicom_sr", "migrations"}


def test_compose_runs_our_services_without_rights(services: dict[str, Any]) -> None:
    """Our services have a read-only root, no capabilities and no root user; their commands exist."""
    ours = {name: one for name, one in services.items() if one["image"] == "echo-agent"}
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {"listener", "worker", "deliverer"} <= set(ours)
    for one in ours.values():
        assert (one["read_only"], one["user"], one["cap_drop"]) == (True, "10001:10001", ["ALL"])
        assert one["command"][0] in known


def test_compose_retrieves_old_studies_only_in_a_profile(services: dict[str, Any]) -> None:
    """The service starts only on request, waits for plans and has a small CPU share."""
    service = services["backfill"]
    assert (service["command"], service["profiles"]) == (["backfill", "run", "--follow"], ["backfill"])
    assert service["cpu_shares"] < 1024
    assert [name for name, one in services.items() if "profiles" in one] == ["backfill"]


def test_compose_publishes_on_this_machine_only(services: dict[str, Any]) -> None:
    """A trial without passwords must not be reachable from the network."""
    published = [port for one in services.values() for port in one.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_compose_orthanc_sends_by_the_script_of_the_page(repository: Path, services: dict[str, Any]) -> None:
    """Orthanc sends what it stores to the modality in its settings, with the listener's AE title and port."""
    orthanc, settings = (
        services["orthanc"],
        json.loads(services["orthanc"]["environment"]["ORTHANC__DICOM_MODALITIES"]),
    )
    (script,) = json.loads(orthanc["environment"]["ORTHANC__LUA_SCRIPTS"])
    mounted = dict(one.split(":")[1::-1] for one in orthanc["volumes"])
    text = (repository / "deploy" / "compose" / mounted[script]).read_text(encoding="utf-8")
    (page,) = re.findall(
        r"```lua\n(.*?)```", (repository / "docs" / "operations.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (name,) = settings
    assert text.partition("\n")[2] == page.replace('"echo"', f'"{name}"')
    assert settings[name] == {"AET": "ECHO_AGENT", "Host": "listener", "Port": 11112}


def test_compose_settings_are_valid(repository: Path) -> None:
    """The settings are valid, and the hosts they name are services of the compose file."""
    folder = repository / "deploy" / "compose"
    settings = Settings.model_validate(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    assert [one.host for one in settings.destinations] == ["orthanc"]
