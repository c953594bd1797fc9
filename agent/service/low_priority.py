"""Lets a process that nobody waits for use only the processor and disk time that the others leave."""

from __future__ import annotations

import psutil

from agent.foundation.log import get_logger

_MOST_NICE = 19
# The last level of the best-effort class (ioprio_set(2)): served after others, but never starved.
_LAST_LEVEL = 7


def lower_priority(nice: int) -> None:
    """Increase this process's niceness, and serve its disk access last; 0 changes nothing.

    If the system forbids it (a seccomp filter), the process works on as it is.
    """
    if not nice:
        return
    process = psutil.Process()
    try:
        process.nice(min(process.nice() + nice, _MOST_NICE))
        process.ionice(psutil.IOPRIO_CLASS_BE, value=_LAST_LEVEL)
    except psutil.AccessDenied:
        get_logger("backfill").warning("priority_unchanged", code="priority-unchanged")
