"""What the reporter hands its prompts to: a queue of reports."""

from __future__ import annotations

from typing import Protocol

from model.decode import Decoded, DecodeOptions
from model.errors import OutOfMemoryError
from model.prompt import Prompt

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
