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


class ReportQueue(Protocol):
    """Takes prompts at any time and gives reports back as they are done (`model.engine.Engine` is one)."""

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

    def advance(self) -> list[tuple[int, Decoded]]:
        """Works for a while; returns the reports that are done, with their tickets."""
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

    def advance(self) -> list[tuple[int, Decoded]]:
        """Decodes the first waiting prompts that share their options.

        When the device's memory runs out, the batch is halved and what it held waits again.
        Raises: OutOfMemoryError where not even one report is possible.
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
        except torch.OutOfMemoryError as error:
            if self._batch == 1:
                raise OutOfMemoryError("the device's memory does not hold one report in decoding") from error
            self._batch //= 2
            self._waiting.extendleft(reversed(batch))
            return []
        return [(ticket, decoded) for (ticket, _, _), decoded in zip(batch, reports, strict=True)]
