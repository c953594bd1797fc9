"""The whole chain with storage commitment: a modality, the running agent, and a real Orthanc."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.service import Service, running_service, write_config
from agent.database.session import Database, open_engine
from agent.database.tables import Delivery, Job
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen


def states(service: Service) -> list[tuple[str, str]]:
    """The state of each document's delivery, with that of its job."""
    database = Database(open_engine(service.settings.database.url))
    try:
        with database.reading() as session:
            rows = session.execute(
                select(Job.state, Delivery.state).join(Job, Job.id == Delivery.job_id).order_by(Delivery.id)
            )
            return [(job, delivery) for job, delivery in rows]
    finally:
        database.close()


def test_study_ends_committed_to_by_a_real_orthanc(
    checkpoint: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """`storescu` sends, the agent drafts, stores and requests commitment; Orthanc reports to its listener."""
    (port,) = free_ports(1)
    agent = {"AET": "ECHO_AGENT", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    study = phantom_study(44, number=0, taken=datetime.now(UTC), size=256)
    files = [tmp_path / f"{number}.dcm" for number in range(len(study.instances))]
    for path, instance in zip(files, study.instances, strict=True):
        instance.save_as(path, enforce_file_format=True)
    with running_orthanc(
        tmp_path, program("Orthanc"), extra={"DicomModalities": {"agent": agent}}
    ) as orthanc:
        config = write_config(
            tmp_path,
            orthanc,
            port=port,
            checkpoint=checkpoint,
            destination={"commitment": True, "commitment_wait_s": 0},
        )
        with running_service(tmp_path, orthanc, config=config, start_process=WarmPopen) as service:
            send = [program("storescu"), "-aec", "ECHO_AGENT", "127.0.0.1", str(port)]
            subprocess.run([*send, *map(str, files)], check=True, capture_output=True)
            wait_for(lambda: states(service) == [("DELIVERED", "COMMITTED")] * 2, lambda: states(service))
        assert len(orthanc.documents(study.study_instance_uid)) == 2
    assert '"commitment_report"' in service.log.read_text(encoding="utf-8")
