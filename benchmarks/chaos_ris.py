"""The RIS of the chaos run, a process: orders drafts as workitems, and watches the agent's own worklist.

    python benchmarks/chaos_ris.py PORT ORDERS RECORD AGENT

Each line of ORDERS is the Study Instance UID of an order. RECORD gets one line of JSON for each change of a
workitem's state that was accepted, before it is answered, and for each event that the worklist at the port
AGENT reports: `{kind, uid, study, state, transaction, outputs}`. One order in seven is claimed by another
performer the moment it has been found. Nothing here uses the agent's own worklist code.

Source: PS3.4 annex CC.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt

PUSH, WATCH, PULL, EVENT = (UID(f"1.2.840.10008.5.1.4.34.6.{number}") for number in range(1, 5))
GLOBAL = UID("1.2.840.10008.5.1.4.34.5")
AE_TITLE, AGENT_AE_TITLE = "CHAOS_RIS", "ECHO_UPS"
RIVAL = "2.25.1"
RIVAL_TAKES_ONE_IN = 7
_SUBSCRIBE_EVERY_S = 2.0
_REFUSED = {"none": 0xC307, "wrong": 0xC301, "claimed": 0xC302, "final": 0xC300, "scheduled": 0xC310}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the record: a workitem of the RIS that changed, or an event of the agent's (`heard`)."""

    kind: str
    uid: str
    study: str = ""
    state: str = ""
    transaction: str = ""
    outputs: tuple[str, ...] = ()


def read_entries(record: Path) -> list[Entry]:
    """Return the record; a line that was not finished was not answered either."""
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("}\n")]
    return [Entry(**{**one, "outputs": tuple(one["outputs"])}) for one in found]


def item_uid(study: str) -> str:
    """Return the UID of the workitem that orders a study's draft."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, 'order|' + study).int}"


class Ris:
    """Its workitems, in memory and in the record."""

    def __init__(self, orders: Path, record: Path) -> None:
        self._orders, self._record = orders, record
        self._lock = threading.Lock()
        self._state: dict[str, Entry] = {}
        self._changes: dict[str, Dataset] = {}
        for one in read_entries(record):
            if one.kind == "item":
                self._state[one.uid] = one

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer with the scheduled workitems; the rival claims some of them before anybody else can."""
        with self._lock:
            self._read_orders()
            found = [one for one in self._state.values() if one.state == "SCHEDULED"]
            for one in found:
                if int(one.uid.rsplit(".", 1)[-1]) % RIVAL_TAKES_ONE_IN == 0:
                    for state in ("IN PROGRESS", "COMPLETED"):
                        self._write(one, state=state, transaction=RIVAL)
        for one in found:
            yield 0xFF00, _workitem(one)

    def get(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Answer with one workitem."""
        request: Any = event.request
        with self._lock:
            found = self._state.get(str(request.RequestedSOPInstanceUID))
        return (_REFUSED["none"], None) if found is None else (0x0000, _workitem(found))

    def set(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Accept changes from the performer that has claimed the workitem."""
        request: Any = event.request
        changes = event.modification_list
        with self._lock:
            one = self._state.get(str(request.RequestedSOPInstanceUID))
            if one is None:
                return _REFUSED["none"], None
            if one.state != "IN PROGRESS":
                return _REFUSED["final"], None
            if changes.get("TransactionUID") != one.transaction:
                return _REFUSED["wrong"], None
            self._changes.setdefault(one.uid, Dataset()).update(changes)
        return 0x0000, None

    def action(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Claim, complete or cancel; a subscription is accepted but nothing is reported."""
        request: Any = event.request
        if event.action_type != 1:
            return 0x0000, None
        wanted = event.action_information
        with self._lock:
            one = self._state.get(str(request.RequestedSOPInstanceUID))
            status = _judge(one, str(wanted.ProcedureStepState), str(wanted.TransactionUID))
            if one is not None and status == 0x0000:
                state = str(wanted.ProcedureStepState)
                outputs = _outputs(self._changes.get(one.uid, Dataset()))
                self._write(one, state=state, transaction=str(wanted.TransactionUID), outputs=outputs)
        return status, None

    def hear(self, event: evt.Event) -> tuple[int, None]:
        """Record an event of the agent's worklist."""
        request: Any = event.request
        if request.EventTypeID == 1:
            state = str(event.event_information.get("ProcedureStepState", ""))
            entry = Entry(kind="heard", uid=str(request.AffectedSOPInstanceUID), state=state)
            with self._lock:
                self._append(entry)
        return 0x0000, None

    def _read_orders(self) -> None:
        for line in self._orders.read_text().splitlines(keepends=True) if self._orders.exists() else ():
            study = line.strip()
            if line.endswith("\n") and item_uid(study) not in self._state:
                self._write(Entry(kind="item", uid=item_uid(study), study=study), state="SCHEDULED")

    def _write(self, one: Entry, *, state: str, transaction: str = "", outputs: Sequence[str] = ()) -> None:
        entry = Entry(
            kind="item",
            uid=one.uid,
            study=one.study,
            state=state,
            transaction=transaction,
            outputs=tuple(outputs),
        )
        self._append(entry)
        self._state[one.uid] = entry

    def _append(self, entry: Entry) -> None:
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")


def _judge(one: Entry | None, wanted: str, transaction: str) -> int:
    """Return the status of a change of state (PS3.4 table CC.1.1-2)."""
    if one is None:
        return _REFUSED["none"]
    if one.state == "SCHEDULED":
        return 0x0000 if wanted == "IN PROGRESS" else _REFUSED["scheduled"]
    if transaction != one.transaction:
        return _REFUSED["wrong"]
    if one.state == "IN PROGRESS":
        return _REFUSED["claimed"] if wanted == "IN PROGRESS" else 0x0000
    already = {"COMPLETED": 0xB306, "CANCELED": 0xB304}
    return already[one.state] if wanted == one.state else _REFUSED["final"]


def _workitem(one: Entry) -> Dataset:
    code, item, source = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "110003", "DCM"
    code.CodeMeaning = "Computer Aided Diagnosis"
    source.TypeOfInstances, source.StudyInstanceUID = "DICOM", one.study
    item.SOPClassUID, item.SOPInstanceUID = PUSH, one.uid
    item.ProcedureStepState, item.InputReadinessState = one.state, "READY"
    item.ScheduledProcedureStepPriority, item.ProcedureStepLabel = "MEDIUM", "draft"
    item.ScheduledWorkitemCodeSequence, item.InputInformationSequence = [code], [source]
    item.ScheduledStationNameCodeSequence = []
    return item


def _outputs(changes: Dataset) -> list[str]:
    performed = changes.get("UnifiedProcedureStepPerformedProcedureSequence") or [Dataset()]
    return sorted(
        str(instance.ReferencedSOPInstanceUID)
        for output in performed[0].get("OutputInformationSequence") or ()
        for instance in output.ReferencedSOPSequence
    )


def _keep_subscribed(agent: int) -> None:
    """Subscribe to the agent's worklist repeatedly: a killed worklist may have lost the request."""
    entity = AE(ae_title=AE_TITLE)
    entity.add_requested_context(WATCH)
    information = Dataset()
    information.ReceivingAE, information.DeletionLock = AE_TITLE, "TRUE"
    while True:
        association = entity.associate("127.0.0.1", agent, ae_title=AGENT_AE_TITLE)
        if association.is_established:
            status, _ = association.send_n_action(information, 3, PUSH, GLOBAL, meta_uid=WATCH)
            association.release()
            if status.get("Status") == 0x0000:
                return
        time.sleep(_SUBSCRIBE_EVERY_S)


def main() -> None:
    """Serve until killed."""
    port, orders, record, agent = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    ris = Ris(orders, record)
    entity = AE(ae_title=AE_TITLE)
    for sop_class in (PUSH, WATCH, PULL, EVENT):
        entity.add_supported_context(sop_class)
    threading.Thread(target=_keep_subscribed, args=(agent,), daemon=True).start()
    handlers: list[Any] = [
        (evt.EVT_C_FIND, ris.find),
        (evt.EVT_N_GET, ris.get),
        (evt.EVT_N_SET, ris.set),
        (evt.EVT_N_ACTION, ris.action),
        (evt.EVT_N_EVENT_REPORT, ris.hear),
    ]
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)


if __name__ == "__main__":
    main()
