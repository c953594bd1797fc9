"""A real Orthanc and the agent, set up exactly as documented: films arrive, drafts are sent back.

The test starts an agent of its own, because its destination is that Orthanc.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from pydicom import dcmread

from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import parcel_of, send
from agent.commands.demo.service import running_service, write_config
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen


def words_of_the_page(repository: Path) -> tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]:
    """The section's content: Orthanc's settings, its script, our `allow` entry, our destination."""
    page = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.split("### Orthanc sends")[1].split("\n### ")[0]
    (settings,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    (script,) = re.findall(r"```lua\n(.*?)```", section, re.DOTALL)
    (allowed,) = re.findall(r"`- (\{.*?\})`", section)
    (destination,) = re.findall(r"`(\{name: orthanc.*?\})`", section, re.DOTALL)
    return json.loads(settings), script, yaml.safe_load(allowed), yaml.safe_load(destination)


def test_orthanc_and_agent_work_by_the_page_alone(
    repository: Path, tmp_path: Path, checkpoint: Path, program: Callable[[str], str]
) -> None:
    """Only addresses, ports and the script's path are changed; Orthanc accepts nothing from unknown peers."""
    settings, script, allowed, destination = words_of_the_page(repository)
    (port,) = free_ports(1)
    lua = tmp_path / "echo.lua"
    lua.write_text(script, encoding="utf-8")
    title, _address, documented = settings["DicomModalities"]["echo"]
    assert (documented, settings["LuaScripts"]) == (11112, ["/etc/orthanc/echo.lua"])
    settings |= {
        "DicomModalities": {"echo": [title, "127.0.0.1", port], "tester": ["TESTER", "127.0.0.1", 1]},
        "LuaScripts": [str(lua)],
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowEcho": False,
    }
    study = phantom_study(43, number=0, taken=datetime.now(UTC), size=256)
    with running_orthanc(tmp_path, program("Orthanc"), extra=settings) as orthanc:
        assert (destination["port"], destination["ae_title"]) == (4242, orthanc.ae_title)
        allow = {"allow": [allowed | {"address": "127.0.0.1"}]}
        config = write_config(tmp_path, None, port=port, checkpoint=checkpoint, changes={"listener": allow})
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
        values["destinations"] = [destination | {"host": orthanc.host, "port": orthanc.port}]
        config.write_text(yaml.safe_dump(values), encoding="utf-8")
        with running_service(tmp_path, None, config=config, start_process=WarmPopen):
            parcels = [parcel_of(instance, "image") for instance in study.instances]
            address = {"host": orthanc.host, "port": orthanc.port, "called": orthanc.ae_title}
            assert all(one.accepted for one in send(parcels, calling="TESTER", **address))
            wait_for(lambda: len(orthanc.documents(study.study_instance_uid)) == 2)
            documents = orthanc.documents(study.study_instance_uid)
    assert {str(dcmread(BytesIO(one)).VerificationFlag) for one in documents} == {"UNVERIFIED"}
