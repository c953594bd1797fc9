"""Lets a process that nobody waits for have what processor and disk the others leave."""

from __future__ import annotations

import psutil

from agent.foundation.log import get_logger

_MOST_NICE = 19
# The last level of the best-effort class (ioprio_set(2)): served after others, but never starved.
_LAST_LEVEL = 7


def lower_priority(nice: int) -> None:
    """Add to this process's niceness, and let its reads and writes come last; 0 changes nothing.

    A system that forbids it (a seccomp filter) is no reason not to work.
    """
    if not nice:
        return
    process = psutil.Process()
    try:
        process.nice(min(process.nice() + nice, _MOST_NICE))
        process.ionice(psutil.IOPRIO_CLASS_BE, value=_LAST_LEVEL)
    except psutil.AccessDenied:
        get_logger("backfill").warning("priority_unchanged", code="priority-unchanged")
