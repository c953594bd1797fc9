"""The web process as `echo-agent web` starts it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import psutil
import pytest
import yaml

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.service import own_environment

from .conftest import fields_of

pytestmark = pytest.mark.integration
READY_WITHIN_S = 120.0


@pytest.fixture
def process(database_url: str, tmp_path: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A process that serves the page, with its address."""
    port = free_ports(1)[0]
    values = {"database": {"url": database_url}, "storage": {"path": str(tmp_path)}, "web": {"port": port}}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "agent", "web", "--config", str(config)]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own_environment()
        )
    try:
        wait(child, f"http://127.0.0.1:{port}/")
        yield psutil.Process(child.pid), f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(60)


def wait(child: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the page answers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and child.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=30).close()
        except OSError:  # no connection yet, or no answer in time
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the page did not start")


def test_process_reads_findings_without_torch(process: tuple[psutil.Process, str]) -> None:
    """Findings are read from the text in a process that has never loaded torch, which is large."""
    child, address = process
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(f"{address}/sign-in", timeout=60) as answer:
        token = fields_of(answer.read().decode())["form_token"]
    fields = {"findings": "There is a small left pneumothorax. No effusion.", "form_token": token}
    form = urllib.parse.urlencode(fields).encode()
    with browser.open(f"{address}/findings", data=form, timeout=120) as answer:
        table = answer.read().decode()
    assert "pneumothorax" in table
    assert "Positive (1)" in table
    mapped = {Path(one.path).name for one in child.memory_maps()}
    assert {name for name in mapped if name.startswith(("libtorch", "libc10"))} == set()
