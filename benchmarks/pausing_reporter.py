"""A reporter that pauses in place of the network, as if the network ran on a separate GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.drafting.prefetch import DraftCase
from model.drafts.draft import DraftSentence, DraftText, ModelIdentity
from model.drafts.study import Study, StudySource

_STEP_S = 0.01
_WORDS = "No acute abnormality."


@dataclass(frozen=True, slots=True, kw_only=True)
class PausingReporter:
    """Answers each study after a pause; as many pauses run concurrently as there are slots."""

    slots: int
    draft_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the missing network."""
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
        """Take studies like the network's stream: urgent ones first, in the slots of those that yield.

        A study that lost its slot pauses from the beginning, as its decoding would begin again.
        """
        waiting: list[Study[DraftCase]] = []
        running: list[tuple[float, Study[DraftCase]]] = []
        more = True
        while more or waiting or running:
            room = self.slots + (ahead or 0) - len(waiting) - len(running)
            if more and room > 0:
                taken = source.take(room, idle=not waiting and not running)
                more = taken is not None
                waiting.extend(taken or ())
                waiting.sort(key=lambda study: (study.yields, study.rank))
            while waiting and len(running) < self.slots:
                running.append((self.clock() + self.draft_s, waiting.pop(0)))
            self._interrupt(waiting, running)
            if running and running[0][0] <= self.clock():
                yield running.pop(0)[1].key, self._draft()
            elif running:
                self.sleep(_STEP_S)

    def draft_many(self, studies: Sequence[Any]) -> list[DraftText]:
        """Draft studies one after the other."""
        self.sleep(self.draft_s * len(studies))
        return [self._draft() for _ in studies]

    def _interrupt(
        self, waiting: list[Study[DraftCase]], running: list[tuple[float, Study[DraftCase]]]
    ) -> None:
        while waiting and not waiting[0].yields:
            last = next((n for n in reversed(range(len(running))) if running[n][1].yields), None)
            if last is None:
                return
            urgent, old = waiting.pop(0), running.pop(last)[1]
            # Before the other yielding ones, which arrived later.
            waiting.insert(sum(not study.yields for study in waiting), old)
            running.append((self.clock() + self.draft_s, urgent))

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
