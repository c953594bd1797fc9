"""Runs the agent for the demo: `echo-agent serve` as a child process, on free loopback ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.pacs import Pacs
from agent.foundation.errors import ProgramNotReady
from agent.foundation.settings.load import load_settings
from agent.foundation.settings.tree import Settings

AE_TITLE = "ECHO_AGENT"
# Long enough for the next image of a study to arrive on a busy machine; a later one makes a second revision.
QUIET_TIME_S = 3.0
READY_WITHIN_S = 300.0
ENDS_WITHIN_S = 90.0
# Starts a process: `subprocess.Popen`, or a function with the same arguments.
StartProcess = Callable[..., subprocess.Popen[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running agent: its settings, its process, and the file with its log."""

    settings: Settings
    config: Path
    process: subprocess.Popen[str]
    log: Path


def write_config(
    folder: Path,
    pacs: Pacs | None,
    *,
    port: int,
    checkpoint: Path | None = None,
    quiet_time_s: float = QUIET_TIME_S,
    destination: dict[str, Any] | None = None,
    further: Sequence[dict[str, Any]] = (),
    changes: dict[str, dict[str, Any]] | None = None,
) -> Path:
    """Write a configuration with its data in `folder`; `changes` are merged in, section by section.

    destination: settings of the PACS besides its address. further: additional destinations.
    """
    values: dict[str, Any] = {
        "database": {"url": f"sqlite:///{folder / 'agent.db'}"},
        "storage": {"path": str(folder / "instances"), "min_free_mb": 50},
        "listener": {"ae_title": AE_TITLE, "host": "127.0.0.1", "port": port},
        "studies": {"quiet_time_s": quiet_time_s, "stat_quiet_time_s": quiet_time_s},
        "worker": {"poll_s": 0.1},
        "delivery": {"first_retry_s": 0.5, "longest_retry_s": 5},
        "log": {"format": "json"},
    }
    if checkpoint is not None:
        values["model"] = {"checkpoint": str(checkpoint)}
    if pacs is not None:
        address = {"name": "pacs", "host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title}
        values["destinations"] = [address | (destination or {}), *further]
    for section, change in (changes or {}).items():
        values[section] = {**values.get(section, {}), **change}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def own_environment() -> dict[str, str]:
    """Return this process's environment without the user's own agent settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ECHO_AGENT_")}


@contextmanager
def running_service(
    folder: Path,
    pacs: Pacs | None,
    *,
    checkpoint: Path | None = None,
    config: Path | None = None,
    start_process: StartProcess = subprocess.Popen,
) -> Iterator[Service]:
    """Start the agent with its data in `folder`, wait until it is ready, and stop it at the end.

    Raises:
        ProgramNotReady: it ended, or was not ready in time; the text has the end of its log.
    """
    if config is None:
        config = write_config(folder, pacs, port=free_ports(1)[0], checkpoint=checkpoint)
    service = start_service(config, folder / "agent.log", start_process)
    try:
        wait_until_ready(service)
        yield service
    finally:
        stop_service(service)


def start_service(config: Path, log: Path, start_process: StartProcess = subprocess.Popen) -> Service:
    """Start `echo-agent serve` in its own process group and return immediately."""
    with log.open("ab") as file:
        process = start_process(
            [sys.executable, "-m", "agent", "serve", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=own_environment(),
            start_new_session=True,
        )
    return Service(settings=load_settings(config), config=config, process=process, log=log)


def wait_until_ready(service: Service, within_s: float = READY_WITHIN_S) -> None:
    """Wait for the ready line.

    Raises:
        ProgramNotReady: the process ended or said nothing in time.
    """
    said = threading.Event()
    ready: list[str] = []

    def read() -> None:
        # Reads to the end, so that the child never blocks on a full pipe.
        for line in service.process.stdout or ():
            ready.append(line)
            said.set()
        said.set()

    threading.Thread(target=read, name="demo-agent", daemon=True).start()
    said.wait(within_s)
    if not ready:
        stop_service(service)
        end = service.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ProgramNotReady(f"the agent did not start; the end of its log:\n{end}")


def stop_service(service: Service) -> None:
    """Ask the process tree to shut down, and kill it if it does not."""
    process = service.process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            kill_service(service)
    _close_output(process)


def kill_service(service: Service) -> None:
    """Kill the whole process tree at once, like a power cut."""
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    _close_output(service.process)


def _close_output(process: subprocess.Popen[str]) -> None:
    if process.stdout is not None:
        process.stdout.close()
