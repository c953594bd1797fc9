"""The service's worker with a pause in place of the network, like a machine whose network runs on a GPU.

    python benchmarks/backfill_worker.py CONFIG.yaml SECONDS

Claims, pixels, documents and transactions are the worker's own. A study takes SECONDS in one of the slots.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.drafting.worker import DraftingWorker
from agent.foundation.log import configure_logging
from agent.foundation.settings.load import load_settings
from agent.operations.heartbeat import Heartbeat
from agent.service.lifecycle import Lifecycle
from agent.service.wiring import open_database, open_store
from benchmarks.pausing_reporter import PausingReporter


def work(config: Path, draft_s: float) -> None:
    """Work until the process is ended."""
    settings: Any = load_settings(config)
    configure_logging(settings.log)
    lifecycle = Lifecycle("worker", lambda: None)
    lifecycle.take_signals()
    database = open_database(settings)
    reporter = PausingReporter(slots=settings.worker.slots, draft_s=draft_s)
    worker = DraftingWorker(database, open_store(settings), settings, reporter, owner=lifecycle.id)
    with Heartbeat(database, "worker", lifecycle.id, dict):
        worker.run(lifecycle.stop)
    database.close()


if __name__ == "__main__":
    work(Path(sys.argv[1]), float(sys.argv[2]))
