"""The service's worker with a pause in place of the network, as on a machine whose network runs on a GPU.

    python benchmarks/backfill_worker.py CONFIG.yaml SECONDS

Claims, pixels, documents and transactions are the worker's own. A study takes SECONDS in one of the slots.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.drafting.prefetch import DraftCase
from agent.drafting.worker import DraftingWorker
from agent.foundation.log import configure_logging
from agent.foundation.settings.load import load_settings
from agent.operations.heartbeat import Heartbeat
from agent.service.lifecycle import Lifecycle
from agent.service.wiring import open_database, open_store
from model.drafts.draft import DraftSentence, DraftText, ModelIdentity
from model.drafts.study import Study, StudySource

_STEP_S = 0.01
_WORDS = "No acute abnormality."


@dataclass(frozen=True, slots=True, kw_only=True)
class PausingReporter:
    """Answers each study after a pause; as many pauses run at once as there are slots."""

    slots: int
    draft_s: float

    @property
    def identity(self) -> ModelIdentity:
        """The identity of what is no network."""
        return ModelIdentity(
            name="pause",
            version="1",
            weights_sha256="0" * 64,
            demonstration=True,
            licence="none",
            block_size=8,
            stage="echo",
        )

    def draft_stream(
        self, source: StudySource[DraftCase], *, ahead: int | None = None
    ) -> Iterator[tuple[DraftCase, DraftText | Exception]]:
        """Take studies as the network's stream does: urgent ones first, and in the slots of those that yield.

        A study that lost its slot pauses from the beginning, as its decoding would begin again.
        """
        waiting: list[Study[DraftCase]] = []
        running: list[tuple[float, Study[DraftCase]]] = []
        more = True
        while more or waiting or running:
            if more:
                room = self.slots + (ahead or 0) - len(waiting) - len(running)
                taken = source.take(room, idle=not waiting and not running)
                more = taken is not None
                waiting.extend(taken or ())
                waiting.sort(key=lambda study: (study.yields, study.rank))
            while waiting and len(running) < self.slots:
                running.append((time.monotonic() + self.draft_s, waiting.pop(0)))
            self._interrupt(waiting, running)
            if running and running[0][0] <= time.monotonic():
                yield running.pop(0)[1].key, self._draft()
            elif running:
                time.sleep(_STEP_S)

    def _interrupt(
        self, waiting: list[Study[DraftCase]], running: list[tuple[float, Study[DraftCase]]]
    ) -> None:
        while waiting and not waiting[0].yields:
            last = next((n for n in reversed(range(len(running))) if running[n][1].yields), None)
            if last is None:
                return
            waiting.append(running.pop(last)[1])
            running.append((time.monotonic() + self.draft_s, waiting.pop(0)))

    def _draft(self) -> DraftText:
        sentences = (DraftSentence(text=_WORDS, confidence=0.9),)
        return DraftText(
            findings_sentences=sentences,
            impression_sentences=sentences,
            text=f"Findings: {_WORDS} Impression: {_WORDS}",
            findings=(),
            flags=(),
            tokens=8,
            forwards=1,
            blocks=1,
            seconds=self.draft_s,
        )


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
