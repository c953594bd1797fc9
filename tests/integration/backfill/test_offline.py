"""Drafts of a set of files: a Ray cluster writes the same bytes as this process, whatever is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from pydicom import dcmwrite

from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.service import own_environment
from tests.support import warm_python
from tests.support.extras import needs_package

pytestmark = pytest.mark.integration
STUDIES = 6
_LONGEST_S = 600
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Phantom studies, and a file that is not a film."""
    needs_package("ray")
    folder = tmp_path / "films"
    folder.mkdir()
    for seed in range(STUDIES):
        study = phantom_study(seed, number=seed, taken=datetime(2020, 1, 1, tzinfo=UTC), size=256)
        for number, film in enumerate(study.instances):
            dcmwrite(folder / f"{seed}-{number}.dcm", film, enforce_file_format=True)
    (folder / "readme.txt").write_text("no film", encoding="utf-8")
    return folder


def started(films: Path, output: Path, engine: str) -> subprocess.Popen[str]:
    """Start the command: its workers are Ray's processes, which do their own imports."""
    command = [sys.executable, "-m", "agent", "backfill", "--files", str(films), "--output", str(output)]
    command += ["--engine", engine, "--workers", "2", "--created", "2026-01-02T03:04:05", "--json"]
    environment = own_environment()
    # Processes that Ray starts are not forked.
    environment.pop(warm_python.VARIABLE, None)
    return warm_python.WarmPopen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def contents(folder: Path) -> dict[str, bytes]:
    """The contents of every file in a set."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def kill_a_worker(process: subprocess.Popen[str]) -> set[str]:
    """Kill a worker while it drafts a study; return the addresses that the cluster listened on."""
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline and process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        # Listing all processes takes longer than a draft: the titles of those found are read often.
        look_again = time.monotonic() + 1.0
        while time.monotonic() < look_again:
            busy = next((one for one in family if is_drafting(one)), None)
            if busy is not None:
                # One that gives way to all others would hardly run beside busy processes.
                assert busy.nice() == psutil.Process().nice()
                addresses = set().union(*(listens_on(one) for one in family))
                busy.kill()
                return addresses
            time.sleep(0.02)
    raise AssertionError("no worker was seen at its work")


def is_drafting(process: psutil.Process) -> bool:
    """Whether a process is an actor with a running task, according to the title that Ray sets."""
    try:
        title = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False
    return b"MapWorker" in title and b".submit" in title


def listens_on(process: psutil.Process) -> set[str]:
    """Return the addresses on which a process listens; none if it has ended."""
    try:
        found = process.net_connections("inet")
    except psutil.Error:
        return set()
    return {str(one.laddr.ip) for one in found if one.status == psutil.CONN_LISTEN}


@pytest.mark.timeout(_LONGEST_S)
def test_ray_writes_the_same_bytes_though_a_worker_is_killed(films: Path, tmp_path: Path) -> None:
    """Parquet and Structured Reports are equal, no study is missing, and no port is open to the network."""
    plain = started(films, tmp_path / "plain", "plain")
    said = plain.communicate(timeout=_LONGEST_S)
    assert (plain.returncode, f'"DRAFTED": {STUDIES}' in said[0]) == (1, True), said  # 1: the text file
    with started(films, tmp_path / "ray", "ray") as ray:
        try:
            addresses = kill_a_worker(ray)
            said = ray.communicate(timeout=_LONGEST_S)
        finally:
            ray.kill()
    assert (ray.returncode, f'"DRAFTED": {STUDIES}' in said[0]) == (1, True), said
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")
    assert addresses <= LOOPBACK
    assert addresses != set()
