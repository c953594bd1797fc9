"""A FHIR R4 server that we did not write: npm's @medplum packages in memory, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "4.5.2"
PACKAGES = ("core", "definitions", "fhir-router")
SCRIPT = Path(__file__).with_name("fhir_peer.mjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirPeer:
    """A running server."""

    url: str

    def get(self, path: str) -> Any:
        """Return what the server answers to a GET below its base address."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Return all resources of a kind."""
        found = self.get(f"/{kind}?_count=1000").get("entry") or ()
        return [entry["resource"] for entry in found]

    @property
    def problems(self) -> list[str]:
        """The errors that the R4 definitions found in the received bundles."""
        return list(self.get("/_validate")["problems"])


def installed(npm: str) -> Path | None:
    """Return the folder with the packages, from the user's cache or from npm; None without a connection."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echo-agent"
    folder = cache / f"medplum-{VERSION}"
    done = folder / "installed"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', "utf-8")
        wanted = [f"@medplum/{name}@{VERSION}" for name in PACKAGES]
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", *wanted]
        fetched = subprocess.run(command, cwd=folder, capture_output=True, timeout=280, check=False)
        if fetched.returncode != 0:
            return None
        done.touch()
    # Node looks for packages beside the script.
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return folder


@contextmanager
def running_fhir_peer(node: str, folder: Path) -> Iterator[FhirPeer]:
    """Run the server until the end of the block."""
    process = subprocess.Popen([node, str(folder / SCRIPT.name)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the FHIR server did not start"
        yield FhirPeer(url=f"http://127.0.0.1:{port}/fhir")
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()
