"""Two patients under one Study Instance UID, with a real listener, worker, deliverer and PACS.

Whatever an operator does, nothing is drafted or sent; a correction at the source leads to one draft of the
right patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, KeyObjectSelectionDocumentStorage
from pynetdicom import AE
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from agent.commands.cli import app
from agent.database.session import Database, database_now
from agent.database.tables import Delivery, Draft, Job
from agent.delivery.deliverer import Deliverer
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.load import load_settings
from agent.objects.store import InstanceStore
from agent.queue import jobs
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from agent.reports.withdraw import withdraw_due
from agent.ris.inbox import Inbox
from tests.integration.delivery.conftest import ScriptedPacs
from tests.support.films import with_meta
from tests.support.hl7_messages import change, order
from tests.support.house import FakeReporter, image
from tests.unit.agent.reports.test_withdraw import rejection

pytestmark = pytest.mark.integration
UID = "1.2.3.1"
ALPHA: dict[str, object] = {"PatientID": "PA", "PatientName": "Alpha^A", "AccessionNumber": "A1"}
BETA: dict[str, object] = {"PatientID": "PB", "PatientName": "Beta^B", "AccessionNumber": "A1"}


class Hospital:
    """A modality, the agent's components, a RIS, and a PACS that keeps what it is sent."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.pacs = ScriptedPacs()
        pacs = self.pacs.start()
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"database: {{url: 'sqlite:///{folder / 'agent.db'}'}}\n"
            f"storage: {{path: {folder / 'instances'}, min_free_mb: 0}}\n"
            "listener: {host: 127.0.0.1, port: 0}\n"
            "destinations:\n"
            f"- {{name: pacs, host: 127.0.0.1, port: {pacs.port}, ae_title: PACS, timeout_s: 30}}\n",
            encoding="utf-8",
        )
        self.settings = load_settings(self.config)
        self.store = InstanceStore(folder / "instances", 0)
        intake = Intake(database, self.settings.studies)
        self.listener = StorageScp(self.settings.listener, self.store, intake)
        self.port = self.listener.start()

    def close(self) -> None:
        """Stop the listener and the PACS."""
        self.listener.stop(2)
        self.pacs.stop()

    def send(self, *objects: Dataset) -> None:
        """C-STORE objects on one association; each is answered with success."""
        modality = AE("MODALITY")
        modality.acse_timeout = modality.dimse_timeout = modality.network_timeout = 60
        modality.add_requested_context(DigitalXRayImageStorageForPresentation, "1.2.840.10008.1.2.1")
        modality.add_requested_context(KeyObjectSelectionDocumentStorage, "1.2.840.10008.1.2.1")
        association = modality.associate("127.0.0.1", self.port, ae_title=self.settings.listener.ae_title)
        assert association.is_established
        assert [association.send_c_store(with_meta(one)).Status for one in objects] == [0] * len(objects)
        association.release()

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)])

    def tell(self, message: bytes) -> None:
        """Receive a message from the RIS."""
        Inbox(self.database, self.settings.hl7).take(message, "127.0.0.1")

    def settle(self) -> None:
        """Let the quiet time pass, and run every component until nothing is left to do."""
        with self.database.transaction() as session:
            passed = database_now(session) - timedelta(seconds=1)
            session.execute(update(Job).values(due_at=passed, run_after=passed))
        complete_due_studies(self.database, self.settings, self.store)
        jobs.reclaim_expired(self.database)
        DraftingWorker(self.database, self.store, self.settings, FakeReporter()).run_once()  # type: ignore[arg-type]
        withdraw_due(self.database, self.settings)
        deliverer = Deliverer(self.database, self.settings, owner="d", chance=Random(1))
        while deliverer.run_once():
            pass

    def delivered(self) -> list[str]:
        """The Patient ID of each document in the PACS, in order."""
        read = [dcmread(BytesIO(one), force=True) for one in self.pacs.received]
        return [str(one.PatientID) for one in read]

    def all(self, column: Any) -> list[Any]:
        """The values of a column, in row order."""
        with self.database.reading() as session:
            return list(session.scalars(select(column).order_by(column.class_.id)))


@pytest.fixture
def hospital(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hospital]:
    """A hospital whose modality has sent one study with films of two patients."""
    monkeypatch.delenv("ECHO_AGENT_CONFIG", raising=False)
    made = Hospital(database, tmp_path)
    try:
        made.send(image(1, 1, **ALPHA), image(1, 2, **BETA))
        made.settle()
        yield made
    finally:
        made.close()


Act = Callable[[Hospital], object]
# Everything that an operator, a RIS or a sender may do to the study, short of correcting it.
ACTS: dict[str, Act] = {
    "dead retry --all": lambda site: site.run("dead", "retry", "--all"),
    "dead retry by code": lambda site: site.run("dead", "retry", "--all", "--code", "patient-conflict"),
    "queue retry": lambda site: site.run("queue", "retry", "1"),
    "queue prioritise": lambda site: site.run("queue", "prioritise", "1", "0"),
    "queue cancel": lambda site: site.run("queue", "cancel", "1"),
    "retry after cancel": lambda site: site.run("queue", "retry", "1"),
    "resolve as another conflict": lambda site: site.run(
        "study", "resolve", UID, "--newest", "--reason", "it is right"
    ),
    "resolve by an unknown image": lambda site: site.run(
        "study", "resolve", UID, "--patient-of", "1.2.3.9", "--reason", "it is right"
    ),
    "backfill resume": lambda site: site.run("backfill", "resume"),
    "model back": lambda site: site.run("model", "back"),
    "the same films again": lambda site: site.send(image(1, 1, **ALPHA), image(1, 2, **BETA)),
    "an urgent order": lambda site: site.tell(order("O1", patient="PA", priority="S", study=UID)),
    "an order for the other patient": lambda site: site.tell(order("O2", patient="PB", study=UID)),
    "a changed name": lambda site: site.tell(change("C1", "PA", "Gamma^C")),
    "a further film of one of them": lambda site: site.send(image(1, 3, **ALPHA)),
    "dead retry --all of the next revision": lambda site: site.run("dead", "retry", "--all"),
}


def test_two_patients_in_one_study_are_never_drafted_whatever_an_operator_does(hospital: Hospital) -> None:
    """After each act there is no draft and nothing in the PACS; the commands say why and what to do."""
    for name, act in ACTS.items():
        act(hospital)
        hospital.settle()
        assert (name, hospital.delivered(), hospital.all(Draft.id)) == (name, [], [])
        assert (name, set(hospital.all(Job.state)) - {"FAILED", "CANCELED"}) == (name, set())
    assert hospital.all(Delivery.id) == []
    refused = hospital.run("dead", "retry", "--all")
    assert (refused.exit_code, "[patient-conflict]" in refused.stdout) == (1, True)
    for command in (("status",), ("dead", "list")):
        said = hospital.run(*command).stdout
        assert "patient-conflict" in said
        assert "study resolve" in said


def corrected(site: Hospital) -> None:
    """Send the other patient's film again under the same UID, now as the right patient's."""
    site.send(image(1, 2, **ALPHA))


def rejected(site: Hospital) -> None:
    """Reject the other patient's film, as the archive does (IOCM: wrong worklist entry)."""
    site.send(rejection("113038", "1.2.3.1.1.2"))


def decided(site: Hospital) -> None:
    """Decide as an operator whose study it is."""
    result = site.run("study", "resolve", UID, "--patient-of", "1.2.3.1.1.1", "--reason", "worklist mix-up")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("cure", [corrected, rejected, decided])
def test_two_patients_in_one_study_are_one_draft_after_the_cure(hospital: Hospital, cure: Act) -> None:
    """There is exactly one draft, both documents are the right patient's; another retry sends nothing."""
    hospital.run("dead", "retry", "--all")
    hospital.settle()
    cure(hospital)
    hospital.settle()
    assert hospital.delivered() == ["PA", "PA"]
    hospital.run("dead", "retry", "--all")
    hospital.settle()
    assert (hospital.delivered(), hospital.all(Draft.outcome)) == (["PA", "PA"], ["drafted"])


def test_rejected_film_of_a_delivered_draft_is_taken_back_over_the_network(
    database: Database, tmp_path: Path
) -> None:
    """After the note's C-STORE the PACS gets the rejected revision; 113039 changes nothing."""
    site = Hospital(database, tmp_path)
    try:
        site.send(image(1, 1, **ALPHA))
        site.settle()
        site.send(rejection("113039", "1.2.3.1.1.1"))
        site.settle()
        assert site.delivered() == ["PA", "PA"]
        site.send(rejection("113037", "1.2.3.1.1.1"))
        site.settle()
        assert site.delivered() == ["PA"] * 4
        last = dcmread(BytesIO(site.pacs.received[-1]), force=True)
        assert "images of this report were rejected" in str(last.to_json())
    finally:
        site.close()
