"""Tests of one running agent: third-party clients, drafts that come back, its processes.

They are in one file, because a file's tests run in one process and share the agent, which is slow to start.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset, dcmread

from agent.commands.demo.orthanc import running_orthanc
from agent.commands.demo.phantom_study import PhantomStudy, phantom_study
from agent.commands.demo.sending import parcel_of, send
from tests.acceptance.conftest import Agent, command_here
from tests.support.waiting import wait_for

SIZE = 512


def write(study: PhantomStudy, folder: Path) -> list[str]:
    """Write a study's objects as files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(study.instances):
        path = folder / f"{study.seed}-{index}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(str(path))
    return paths


def phantom(seed: int, number: int = 0) -> PhantomStudy:
    """Draw a phantom study that has not been sent before."""
    return phantom_study(seed, number=number, taken=datetime.now(UTC), size=SIZE)


@pytest.mark.parametrize("client", ["storescu", "dcmsend"])
def test_dcmtk_clients_are_served_like_ours(
    client: str, agent: Agent, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """A study that dcmtk sends is drafted and delivered."""
    study = phantom(11)
    command = [
        program(client),
        "-aec",
        "ECHO_AGENT",
        "127.0.0.1",
        str(agent.port),
        *write(study, tmp_path / "in"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    outcome = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert outcome.state == "DELIVERED"
    assert len(agent.pacs.documents(study.study_instance_uid)) == 2


def test_processes_of_serve_and_their_libraries(agent: Agent) -> None:
    """Listener and deliverer have not loaded torch; the worker has."""
    loaded = {}
    for child in psutil.Process(agent.service.process.pid).children():
        role = child.cmdline()[3]
        loaded[role] = any("libtorch" in entry.path for entry in child.memory_maps())
    assert loaded == {"listen": False, "work": True, "deliver": False}


def test_status_and_doctor_of_a_running_agent(agent: Agent) -> None:
    """Every role runs, and the doctor finds no fault; studies that other tests spoiled are named."""
    status = agent.command("status", "--json")
    assert (status.status == 2, {one["code"] for one in status.result["problems"]} <= {"jobs-failed"}) == (
        False,
        True,
    )
    checks = agent.command("doctor", "--json")
    assert (checks.status, {one["verdict"] for one in checks.result["checks"]} <= {"right", "look"}) == (
        0,
        True,
    )


def test_swapping_the_image_changes_the_draft(checkpoint: Path, tmp_path: Path) -> None:
    """The same header with another phantom's pixels gives another draft: the text depends on the pixels."""
    one, other = phantom(1_000_003), phantom(1_000_014)
    config = tmp_path / "config.yaml"
    config.write_text(f"model: {{checkpoint: {checkpoint}}}", encoding="utf-8")
    (original,) = write(one, tmp_path / "a")[:1]
    swapped = one.instances[0]
    swapped.PixelData = other.instances[0].PixelData
    swapped.PhotometricInterpretation = other.instances[0].PhotometricInterpretation
    swapped.PresentationLUTShape = other.instances[0].PresentationLUTShape
    swapped.save_as(tmp_path / "swapped.dcm", enforce_file_format=True)
    texts = [
        command_here("draft", path, "--json", "--config", str(config), folder=tmp_path).result["reports"][0][
            "text"
        ]
        for path in (original, str(tmp_path / "swapped.dcm"))
    ]
    assert texts[0] != texts[1]
    assert all(texts)


def test_orthanc_routes_by_the_documented_script(
    agent: Agent, repository: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """The script in docs/operations.md makes Orthanc send its chest films here."""
    page = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    script = tmp_path / "echo.lua"
    script.write_text(re.findall(r"```lua\n(.*?)```", page, re.DOTALL)[0], encoding="utf-8")
    extra = {
        "DicomModalities": {"echo": ["ECHO_AGENT", "127.0.0.1", agent.port]},
        "LuaScripts": [str(script)],
    }
    study = phantom(41)
    with running_orthanc(tmp_path, program("Orthanc"), extra=extra) as orthanc:
        parcels = [parcel_of(instance, "image") for instance in study.instances]
        sent = send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
        assert all(one.accepted for one in sent)
        outcome = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert outcome.state == "DELIVERED"


def test_reports_that_come_back_are_dropped(agent: Agent) -> None:
    """A PACS that routes our own documents back to us creates no new work."""
    study = phantom(42)
    address = {"host": "127.0.0.1", "port": agent.port, "called": "ECHO_AGENT"}
    send([parcel_of(one, "image") for one in study.instances], **address)
    before = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    documents = [_read(content) for content in agent.pacs.documents(study.study_instance_uid)]
    send([parcel_of(one, "report") for one in documents], **address)
    after = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert (before.state, after) == ("DELIVERED", before)


def test_sighup_reloads_only_a_right_configuration(make_agent: Callable[..., Agent]) -> None:
    """An invalid file changes nothing; a valid one restarts each process, and work continues."""
    agent = make_agent()
    right = agent.config.read_text(encoding="utf-8")
    # A process that is not ready yet would be counted as restarted.
    wait_for(lambda: agent.log.count('"event": "ready"') >= 3)
    try:
        agent.config.write_text("listener: [", encoding="utf-8")
        os.kill(agent.service.process.pid, signal.SIGHUP)
        wait_for(lambda: agent.log.count('"reload_refused"') == 3)
    finally:
        agent.config.write_text(right, encoding="utf-8")
    ready = agent.log.count('"event": "ready"')
    os.kill(agent.service.process.pid, signal.SIGHUP)
    wait_for(lambda: agent.log.count('"event": "ready"') >= ready + 3)
    study = phantom(12)
    parcels = [parcel_of(one, "image") for one in study.instances]
    send(parcels, host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    assert agent.wait([study.study_instance_uid])[study.study_instance_uid].state == "DELIVERED"


def _read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))
