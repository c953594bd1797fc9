"""The PACS of the chaos run, a process that can be stopped: writes down every SR before it answers.

    python benchmarks/chaos_pacs.py PORT RECORD

RECORD gets one line of JSON an arrival, copies too: `{study, sop_class, sop_instance}`.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from agent.demo.pacs import AE_TITLE, SR_CLASSES


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


def main() -> None:
    """Serve until killed."""
    port, record = int(sys.argv[1]), Path(sys.argv[2])
    lock = threading.Lock()

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        line = json.dumps(
            {
                "study": str(dataset.StudyInstanceUID),
                "sop_class": str(dataset.SOPClassUID),
                "sop_instance": str(dataset.SOPInstanceUID),
            }
        )
        with lock, record.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return 0x0000

    entity = AE(ae_title=AE_TITLE)
    for sop_class in SR_CLASSES:
        entity.add_supported_context(sop_class)
    entity.add_supported_context(Verification)
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
