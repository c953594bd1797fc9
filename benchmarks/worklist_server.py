"""`echo-agent web` as a separate process, for the worklist's benchmark."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.service import own_environment

READY_WITHIN_S = 120.0


@contextmanager
def serving(folder: Path, database_url: str) -> Iterator[int]:
    """Serve the worklist on a free port; yields the port once the page answers."""
    port = free_ports(1)[0]
    values = {
        "database": {"url": database_url},
        "storage": {"path": str(folder / "instances"), "min_free_mb": 0},
        "web": {"port": port},
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "web", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=own_environment(),
        )
    try:
        _wait(process, port, folder / "web.log")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).close()
        except urllib.error.URLError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"the page did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
