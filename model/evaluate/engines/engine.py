"""Common parts of both engines: groups of work, workers, and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from model.errors import ModelError

# Input and output of a worker: values that can be pickled.
Group = Any
Result = Any
Work = Callable[[Group], Result]
# Called once in each worker, because a network cannot be sent over a connection; the function itself can be
# pickled.
MakeWork = Callable[[], Work]


class OfflineEngine(StrEnum):
    """What does the work."""

    PLAIN = "plain"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Where and how the groups are processed.

    count: Ray workers; the plain engine has one, this process. address: HOST:PORT of a running Ray cluster; a
    local one is started if it is empty. gpus: of each worker, from 0; None: one if the network runs on a GPU.
    """

    engine: OfflineEngine = OfflineEngine.PLAIN
    count: int = 2
    address: str = ""
    gpus: float | None = None


class EngineMissing(ModelError):
    """The packages of an engine are not installed; the message says how to install them."""

    code = "engine_missing"


class EngineUnavailable(ModelError):
    """The cluster cannot be started or reached, or its workers cannot load what they need."""

    code = "engine_unavailable"
    retryable = True


class WorkerKilled(ModelError):
    """The process that worked on a group ended or raised an error in every attempt."""

    code = "worker_killed"


# A group whose worker ended every time has this instead of a result.
KILLED = WorkerKilled("its worker ended at every attempt")
