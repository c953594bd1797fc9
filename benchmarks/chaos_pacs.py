"""The PACS of the chaos run, a process that can be stopped: records every SR before it answers.

    python benchmarks/chaos_pacs.py PORT RECORD REPORTS

RECORD gets one line of JSON for each arrival, copies included: `{study, sop_class, sop_instance}`. It commits
to what it has with a report over a separate association to the listener at the port REPORTS; a report that
does not arrive is not repeated, so the PACS must be queried for its contents (C-FIND).
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from agent.commands.demo.pacs import AE_TITLE, SR_CLASSES
from agent.commands.demo.service import AE_TITLE as AGENT
from agent.network.commitment_scu import STORAGE_COMMITMENT, STUDY_ROOT_FIND, WELL_KNOWN_INSTANCE

# Long enough for another process to be killed between the request and its report (s).
REPORT_AFTER_S = 0.2
_UNKNOWN_INSTANCE = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One C-STORE that the PACS answered, or was about to answer, with success."""

    study: str
    sop_class: str
    sop_instance: str


def read_record(record: Path) -> list[Arrival]:
    """Return what has arrived; a line that a stopped PACS did not finish was not answered either."""
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Arrival(**json.loads(line)) for line in lines if line.endswith("}\n")]


class Archive:
    """The content of the PACS, and its answers."""

    def __init__(self, record: Path, reports: int) -> None:
        self._record, self._reports = record, reports
        self._held = {one.sop_instance for one in read_record(record)}
        self._lock = threading.Lock()

    def store(self, event: evt.Event) -> int:
        """Store one document."""
        dataset = event.dataset
        sop_instance = str(dataset.SOPInstanceUID)
        line = json.dumps(
            {
                "study": str(dataset.StudyInstanceUID),
                "sop_class": str(dataset.SOPClassUID),
                "sop_instance": sop_instance,
            }
        )
        with self._lock, self._record.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._held.add(sop_instance)
        return 0x0000

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Return whether it holds an instance."""
        if event.identifier.SOPInstanceUID in self._held:
            found = Dataset()
            found.QueryRetrieveLevel = "IMAGE"
            found.SOPInstanceUID = event.identifier.SOPInstanceUID
            yield 0xFF00, found

    def commit(self, event: evt.Event) -> tuple[int, None]:
        """Accept a request for commitment; the report follows a little later."""
        threading.Thread(target=self._report, args=(event.action_information,), daemon=True).start()
        return 0x0000, None

    def _report(self, request: Dataset) -> None:
        time.sleep(REPORT_AFTER_S)
        answer = Dataset()
        answer.TransactionUID = request.TransactionUID
        kept: list[Dataset] = []
        failed: list[Dataset] = []
        for item in request.ReferencedSOPSequence:
            here = item.ReferencedSOPInstanceUID in self._held
            if not here:
                item.FailureReason = _UNKNOWN_INSTANCE
            (kept if here else failed).append(item)
        if kept:
            answer.ReferencedSOPSequence = kept
        if failed:
            answer.FailedSOPSequence = failed
        entity = AE(ae_title=AE_TITLE)
        entity.add_requested_context(STORAGE_COMMITMENT)
        role = build_role(UID(STORAGE_COMMITMENT), scu_role=False, scp_role=True)
        association = entity.associate("127.0.0.1", self._reports, ae_title=AGENT, ext_neg=[role])
        if association.is_established:
            association.send_n_event_report(
                answer, 2 if failed else 1, UID(STORAGE_COMMITMENT), UID(WELL_KNOWN_INSTANCE)
            )
            association.release()


def main() -> None:
    """Serve until killed."""
    port, record, reports = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    archive = Archive(record, reports)
    entity = AE(ae_title=AE_TITLE)
    for sop_class in (*SR_CLASSES, STORAGE_COMMITMENT, STUDY_ROOT_FIND, Verification):
        entity.add_supported_context(sop_class)
    handlers: list[Any] = [
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_C_FIND, archive.find),
        (evt.EVT_N_ACTION, archive.commit),
    ]
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)


if __name__ == "__main__":
    main()
