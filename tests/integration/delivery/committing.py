"""A PACS that is a Storage Commitment SCP, and our listener, which receives its reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import AE, build_role, evt

from agent.database.audit.record import Event
from agent.database.session import Database
from agent.delivery.commitment_reports import CommitmentReports
from agent.foundation.settings.tree import (
    AllowedPeer,
    DestinationSettings,
    ListenerSettings,
    Settings,
    StudySettings,
)
from agent.network.commitment_scu import STORAGE_COMMITMENT, STUDY_ROOT_FIND, WELL_KNOWN_INSTANCE
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from tests.integration.delivery.conftest import ScriptedPacs


@dataclass(kw_only=True)
class CommittingPacs(ScriptedPacs):
    """Commits to what it holds; `loses` are SOP Instance UIDs that it loses once each, after storing them."""

    commits: bool = True
    queries: bool = True
    # "same" association, "early" (the same, before the request is answered), "new" association (to
    # `listener_port`), or "never".
    style: str = "same"
    listener_port: int = 0
    loses: list[str] = field(default_factory=list)
    action_answers: list[Any] = field(default_factory=list)
    requests: list[Dataset] = field(default_factory=list)
    reported: list[int] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    _owed: dict[Any, Dataset] = field(default_factory=dict)

    def start(self, port: int = 0, **values: Any) -> DestinationSettings:
        """Listen; return this PACS as a destination."""
        entity = AE(ae_title=self.ae_title)
        entity.require_called_aet = True
        for uid in self.classes:
            entity.add_supported_context(uid, list(self.syntaxes))
        if self.commits:
            entity.add_supported_context(STORAGE_COMMITMENT)
        if self.queries:
            entity.add_supported_context(STUDY_ROOT_FIND)
        handlers = [
            (evt.EVT_C_STORE, self._keep),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_PDU_SENT, self._sent),
        ]
        self.server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]
        settings = {
            "commitment": True,
            "commitment_wait_s": 30 if self.style in ("same", "early") else 0,
        } | values
        return DestinationSettings(
            name="pacs", host="127.0.0.1", port=self.port, ae_title="PACS", timeout_s=20, **settings
        )

    def report_of(self, request: Dataset) -> tuple[int, Dataset]:
        """The report of this PACS: event type and event information."""
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        kept, failed = [], []
        for item in request.ReferencedSOPSequence:
            here = item.ReferencedSOPInstanceUID in self.held
            (kept if here else failed).append(reference(item, None if here else 0x0112))
        if kept:
            report.ReferencedSOPSequence = DicomSequence(kept)
        if failed:
            report.FailedSOPSequence = DicomSequence(failed)
        return (2 if failed else 1), report

    def report(self, request: Dataset) -> int:
        """Report over a new association; return our status."""
        kind, information = self.report_of(request)
        return send_report(self.listener_port, information, kind)

    def _keep(self, event: evt.Event) -> int:
        status = self._store(event)
        uid = str(event.request.AffectedSOPInstanceUID)
        if status in (0x0000, 0xB000):
            if uid in self.loses:
                self.loses.remove(uid)
            else:
                self.held.add(uid)
        return status

    def _action(self, event: evt.Event) -> tuple[int, None]:
        answer = self.action_answers.pop(0) if self.action_answers else 0x0000
        if callable(answer):
            answer = answer(event)
        if answer == 0x0000:
            request = event.action_information
            self.requests.append(request)
            if self.style == "early":
                self._report(event.assoc, request)
            elif self.style != "never":
                self._owed[event.assoc] = request
        return int(answer), None

    def _sent(self, event: evt.Event) -> None:
        """Report once the request is answered, in a separate thread."""
        request = self._owed.pop(event.assoc, None)
        if request is not None:
            threading.Thread(target=self._report, args=(event.assoc, request)).start()

    def _report(self, association: Any, request: Dataset) -> None:
        if self.style == "new":
            self.reported.append(self.report(request))
            return
        kind, information = self.report_of(request)
        answer, _ = association.send_n_event_report(
            information, kind, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
        )
        self.reported.append(int(answer.get("Status", -1)))

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        if query.SOPInstanceUID in self.held:
            found = Dataset()
            found.QueryRetrieveLevel = "IMAGE"
            found.SOPInstanceUID = query.SOPInstanceUID
            yield 0xFF00, found


def reference(item: Dataset, reason: int | None = None) -> Dataset:
    """One item of a report."""
    made = Dataset()
    made.ReferencedSOPClassUID = item.ReferencedSOPClassUID
    made.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
    if reason is not None:
        made.FailureReason = reason
    return made


def send_report(
    port: int,
    information: Dataset | None,
    kind: int = 1,
    *,
    calling: str = "PACS",
    instance: str = WELL_KNOWN_INSTANCE,
) -> int:
    """Open an association as a Storage Commitment SCP and report; return the status, or -1 if rejected."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    entity.add_requested_context(STORAGE_COMMITMENT)
    association = entity.associate(
        "127.0.0.1",
        port,
        ae_title="ECHO_AGENT",
        ext_neg=[build_role(STORAGE_COMMITMENT, scu_role=False, scp_role=True)],
    )
    if not association.is_established:
        return -1
    answer, _ = association.send_n_event_report(information, kind, STORAGE_COMMITMENT, instance)
    association.release()
    return int(answer.get("Status", -1))


@dataclass(kw_only=True)
class Hearing:
    """Our listener next to the deliverer, with its audit events."""

    scp: StorageScp
    port: int
    noted: list[Event]

    def count(self, name: str) -> int:
        """One of the listener's counters."""
        return int(self.scp.about()["counts"].get(name, 0))


def hearing(
    database: Database,
    folder: Path,
    destinations: Sequence[DestinationSettings],
    *,
    port: int = 0,
    allow: Sequence[str] = ("PACS", "OTHER", "ORTHANC"),
) -> tuple[Hearing, Callable[[], None]]:
    """Start a listener that accepts reports; return it, and a function that stops it."""
    settings = Settings(destinations=tuple(destinations))
    noted: list[Event] = []
    reports = CommitmentReports(database, settings, actor="listener", chance=Random(1), note=noted.append)
    listener = ListenerSettings(
        port=port, allow=tuple(AllowedPeer(ae_title=one, address="127.0.0.1") for one in allow)
    )
    scp = StorageScp(
        listener,
        InstanceStore(folder / "instances", 0),
        Intake(database, StudySettings()),
        reports=reports,
        note=noted.append,
    )
    return Hearing(scp=scp, port=scp.start(), noted=noted), lambda: scp.stop(2)
