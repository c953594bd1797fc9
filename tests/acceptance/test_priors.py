"""A running agent with a real Orthanc as its archive: priors with the documented settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import parcel_of, send
from tests.acceptance.conftest import Agent


def test_earlier_study_in_orthanc_is_named_in_the_draft(
    make_agent: Callable[..., Agent], tmp_path: Path, program: Callable[[str], str]
) -> None:
    """A running agent fetches priors with the documented settings; a fetched prior is not drafted itself."""
    port = free_ports(1)[0]
    modalities = {
        "echo": ["ECHO_AGENT", "127.0.0.1", port],
        "echo-priors": ["ECHO_PRIORS", "127.0.0.1", port],
    }
    now = datetime.now(UTC)
    earlier = phantom_study(43, number=0, taken=now - timedelta(days=90), size=256)
    study = phantom_study(43, number=0, taken=now, size=256)
    for instance in earlier.instances:  # a phantom's age follows its study's year
        instance.PatientBirthDate = study.instances[0].PatientBirthDate
    with running_orthanc(tmp_path, program("Orthanc"), extra={"DicomModalities": modalities}) as orthanc:
        archive = {"host": orthanc.host, "port": orthanc.port, "ae_title": orthanc.ae_title}
        agent = make_agent(
            changes={"archive": archive, "priors": {"enabled": True}, "listener": {"port": port}}
        )
        parcels = [parcel_of(instance, "image") for instance in earlier.instances]
        send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
        parcels = [parcel_of(instance, "image") for instance in study.instances]
        send(parcels, host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
        outcome = agent.wait([study.study_instance_uid])[study.study_instance_uid]
    assert outcome.state == "DELIVERED"
    assert agent.outcomes([earlier.study_instance_uid]) == {}
    for content in agent.pacs.documents(study.study_instance_uid):
        (other,) = dcmread(BytesIO(content)).PertinentOtherEvidenceSequence
        assert other.StudyInstanceUID == earlier.study_instance_uid
