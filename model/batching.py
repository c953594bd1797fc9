"""What the reporter hands its prompts to: a queue of reports, served by the engine or batch by batch."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import torch

from model.backbone import Backbone
from model.config import ModelConfig
from model.decode import Decoded, DecodeOptions, Decoder
from model.errors import OutOfMemoryError
from model.prompt import Prompt, collate_prompts

NO_ROOM = "the device's memory does not hold one report in decoding: free memory, or use a smaller model"


class ReportQueue(Protocol):
    """Takes prompts at any time and gives reports back as they are done (`model.engine.Engine` is one)."""

    @property
    def slots(self) -> int:
        """The most reports in decoding at once; fewer after the memory ran out."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a report is waiting or in decoding."""
        ...

    def submit(self, prompt: Prompt, options: DecodeOptions | None = None) -> int:
        """Queues a report and returns its ticket."""
        ...

    def clear(self) -> None:
        """Drops everything that is waiting or in decoding."""
        ...

    def advance(self) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """Works for a while; returns the reports that are done, with their tickets.

        A report that does not even fit alone into the device's memory comes back as that error.
        """
        ...


class BatchQueue:
    """Serves a queue with a plain decoder, `batch` prompts of one rule at a time."""

    def __init__(
        self, decoder: Decoder, backbone: Backbone, config: ModelConfig, *, pad_id: int, batch: int
    ) -> None:
        self._decoder, self._backbone, self._config = decoder, backbone, config
        self._pad_id, self._batch = pad_id, batch
        self._options = DecodeOptions.of(config)
        self._waiting: deque[tuple[int, Prompt, DecodeOptions]] = deque()
        self._tickets = 0

    @property
    def slots(self) -> int:
        """Prompts of one batch."""
        return self._batch

    @property
    def busy(self) -> bool:
        """Whether a report is waiting."""
        return bool(self._waiting)

    def submit(self, prompt: Prompt, options: DecodeOptions | None = None) -> int:
        """Queues a report and returns its ticket; `options` are the model's own where left out."""
        self._tickets += 1
        self._waiting.append((self._tickets, prompt, options or self._options))
        return self._tickets

    def clear(self) -> None:
        """Drops everything that is waiting."""
        self._waiting.clear()

    def advance(self) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """Decodes the first waiting prompts that share their options.

        When the device's memory runs out, the batch is halved and what it held waits again; a report that
        does not fit alone comes back as an error.
        """
        if not self._waiting:
            return []
        options = self._waiting[0][2]
        batch: list[tuple[int, Prompt, DecodeOptions]] = []
        while self._waiting and len(batch) < self._batch and self._waiting[0][2] == options:
            batch.append(self._waiting.popleft())
        prompts = collate_prompts([prompt for _, prompt, _ in batch], self._config, self._pad_id)
        try:
            reports = self._decoder(self._backbone, prompts, options)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                return [(batch[0][0], OutOfMemoryError(NO_ROOM))]
            self._batch = len(batch) // 2
            self._waiting.extendleft(reversed(batch))
            return []
        return [(ticket, decoded) for (ticket, _, _), decoded in zip(batch, reports, strict=True)]
