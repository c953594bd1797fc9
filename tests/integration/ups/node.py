"""Peers written with npm's dcmjs-dimse, a DICOM stack unrelated to ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

VERSION = "0.3.3"
PEERS = Path(__file__).parent / "peers"


def installed_modules(program: Callable[[str], str]) -> Path:
    """Return the folder of npm's modules, which is fetched once into the cache."""
    npm = program("npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "echo-agent" / f"dcmjs-dimse-{VERSION}"
    modules = folder / "node_modules"
    if not (folder / "complete").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", f"dcmjs-dimse@{VERSION}"]
        fetched = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=200, check=False
        )
        if fetched.returncode != 0 and os.environ.get("CI") != "true":
            pytest.skip("npm cannot be reached, and dcmjs-dimse is not in the cache")
        assert fetched.returncode == 0, fetched.stderr
        (folder / "complete").touch()
    return modules


class Node:
    """Runs the peers."""

    def __init__(self, program: str, modules: Path) -> None:
        self._program, self._modules = program, modules

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a peer, and kill it afterwards."""
        process = subprocess.Popen(
            [self._program, str(PEERS / f"{name}.js"), *arguments],
            env={**os.environ, "NODE_PATH": str(self._modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, name: str, *arguments: str) -> Any:
        """Run a peer until it exits; return the JSON of its last line."""
        with self.running(name, *arguments) as process:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        return json.loads(out.splitlines()[-1])
