"""A real Orthanc routes a study to the agent with the script of the documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from agent.commands.demo.orthanc import running_orthanc
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import parcel_of, send
from tests.acceptance.conftest import Agent


def test_orthanc_routes_by_the_documented_script(
    agent: Agent, repository: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """What docs/operations.md says to put into Orthanc brings its chest films here."""
    page = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    script = tmp_path / "echo.lua"
    script.write_text(re.findall(r"```lua\n(.*?)```", page, re.DOTALL)[0], encoding="utf-8")
    extra = {
        "DicomModalities": {"echo": ["ECHO_AGENT", "127.0.0.1", agent.port]},
        "LuaScripts": [str(script)],
    }
    study = phantom_study(41, number=0, taken=datetime.now(UTC), size=256)
    with running_orthanc(tmp_path, program("Orthanc"), extra=extra) as orthanc:
        parcels = [parcel_of(instance, "image") for instance in study.instances]
        sent = send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
        assert all(one.accepted for one in sent)
        outcome = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert outcome.state == "DELIVERED"


def test_reports_that_come_back_are_dropped(agent: Agent) -> None:
    """A PACS that routes our own documents to us makes no new work."""
    study = phantom_study(42, number=0, taken=datetime.now(UTC), size=256)
    address = {"host": "127.0.0.1", "port": agent.port, "called": "ECHO_AGENT"}
    send([parcel_of(one, "image") for one in study.instances], **address)
    before = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    documents = [_read(content) for content in agent.pacs.documents(study.study_instance_uid)]
    send([parcel_of(one, "report") for one in documents], **address)
    after = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert (before.state, after) == ("DELIVERED", before)


def _read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))
