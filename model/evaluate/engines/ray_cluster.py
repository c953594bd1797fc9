"""A Ray cluster for one command: started on this machine for this command only, or already running.

A local cluster listens on the loopback address only. It has no dashboard and sends no usage statistics. Its
temporary files, including objects that do not fit into memory, are in a folder that only this user may read
and that is deleted at the end.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from model.evaluate.engines.engine import EngineMissing, EngineUnavailable

REMEDY = "pip install -c constraints.txt 'echo-agent[ray]'"
# Read when Ray is imported.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its lines would be mixed with the command's output.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray's own value is 15: on a busy machine its workers would hardly run, and the command seem to hang.
    "RAY_worker_niceness": "0",
    # Without it a process that has not started after a minute is replaced, on a busy machine again and again.
    "RAY_worker_register_timeout_seconds": "900",
}
# With this setting Ray keeps every port on the loopback address, as it does by default on desktop systems.
_ON_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Memory (bytes) for objects on their way between processes; more is written to the temporary folder.
_OBJECT_STORE = 200_000_000


@contextmanager
def ray_cluster(workers: int, address: str = "") -> Iterator[Any]:
    """Yield the module `ray`, connected.

    workers: CPUs of a local cluster. address: of a running cluster, HOST:PORT; a local one is started when
    it is empty.

    Raises:
        EngineMissing: the packages are not installed.
        EngineUnavailable: the cluster does not start, or does not answer.
    """
    os.environ.update(_ENVIRONMENT)
    if not address:
        os.environ[_ON_LOOPBACK] = "0"
    ray = import_ray()
    folder = None if address else tempfile.mkdtemp(prefix="echo-ray-")
    try:
        # Ray reports on standard output that a worker has died, but that is for the command's results.
        with redirect_stdout(sys.stderr):
            _connect(ray, workers, address, folder)
            yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def import_ray() -> Any:
    """Return the module `ray`, including its data module.

    Raises:
        EngineMissing: the packages are not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EngineMissing(f"the engine `ray` needs further packages: {REMEDY}") from error
    return ray


def _connect(ray: Any, workers: int, address: str, folder: str | None) -> None:
    common = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, **common)
        else:
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                _temp_dir=folder,
                **common,
            )
    except (OSError, RuntimeError, ValueError) as error:
        where = (
            f"the Ray cluster at {address} does not answer" if address else "no Ray cluster can be started"
        )
        raise EngineUnavailable(f"{where} ({type(error).__name__})") from error
