"""Named places at which a test can kill a process, as `kill -9` or a power cut would.

Off unless ECHO_AGENT_FAILPOINT names one, as `NAME` or `NAME:N` for the N-th pass. It is read once, at the
start of the process; without it a pass costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "ECHO_AGENT_FAILPOINT"
# In groups, one for each process: the listener, the worker, the deliverer, the purge, the performer of
# workitems, the HL7 receiver (in the listener) and sender (in the deliverer), the backfill. Within a group
# they are in the order in which they are passed.
RECEIVING = (
    "store.before-rename",
    "store.before-folder-flush",
    "receiver.before-row",
    "intake.before-commit",
    "receiver.before-answer",
    "commitment.before-row",
    "commitment.before-answer",
)
DRAFTING = ("worker.after-claim", "worker.before-write", "outbox.before-commit", "worker.after-write")
SENDING = (
    "delivery.after-claim",
    "delivery.before-send",
    "delivery.before-row",
    "delivery.after-row",
    "commitment.before-request",
    "commitment.after-request",
)
PURGING = ("purge.before-rows", "purge.after-rows", "purge.after-file")
PERFORMING = ("ups.before-claim", "ups.after-claim", "ups.before-completion", "ups.after-completion")
HL7_RECEIVING = ("hl7.before-commit", "hl7.before-answer")
HL7_SENDING = ("hl7.after-send",)
BACKFILLING = (
    "backfill.before-answers",
    "backfill.after-answers",
    "backfill.before-retrieve",
    "backfill.after-retrieve",
    "backfill.after-row",
)
NAMES = RECEIVING + DRAFTING + SENDING + PURGING + PERFORMING + HL7_RECEIVING + HL7_SENDING + BACKFILLING


class Failpoint:
    """The armed failpoint, if any."""

    def __init__(self, value: str) -> None:
        """Take `NAME`, `NAME:N` or the empty string.

        Raises:
            ValueError: no failpoint has that name, or N is not a positive number.
        """
        self.name, _, count = value.partition(":")
        self._left = int(count or 1)
        self._lock = threading.Lock()
        if (self.name and self.name not in NAMES) or self._left < 1:
            raise ValueError(f"{VARIABLE}={value}: expected NAME or NAME:N, NAME one of {', '.join(NAMES)}")

    def due(self, name: str) -> bool:
        """Count a pass; return whether the process must die at this pass."""
        if name != self.name:
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0


_armed = Failpoint(os.environ.get(VARIABLE, ""))


def failpoint(name: str) -> None:
    """Kill the process if this failpoint is armed; nothing is flushed or logged."""
    if _armed.name and _armed.due(name):
        os.kill(os.getpid(), signal.SIGKILL)
