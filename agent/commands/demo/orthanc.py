"""A real Orthanc, started on free loopback ports with its own folder, for the demo and the tests."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.foundation.errors import ProgramMissing, ProgramNotReady

AE_TITLE = "ORTHANC"
# Where Debian's packages put the plugin; Orthanc runs without it too.
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
READY_WITHIN_S = 120.0
_PORTS = range(15_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc: its ports, and its content through the REST interface."""

    host: str
    port: int
    ae_title: str
    url: str
    dicomweb: bool

    def get(self, path: str) -> bytes:
        """Return the body of a GET."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def post(self, path: str, body: Any) -> Any:
        """POST a value as JSON and return the answer's value."""
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def put(self, path: str, body: Any) -> None:
        """PUT a value as JSON."""
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=30).close()

    def delete(self, path: str) -> None:
        """DELETE."""
        request = urllib.request.Request(f"{self.url}{path}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()

    def documents(self, study_instance_uid: str) -> tuple[bytes, ...]:
        """Return the Structured Reports of a study, as the Part 10 files that Orthanc serves."""
        query = {"Level": "Series", "Query": {"StudyInstanceUID": study_instance_uid, "Modality": "SR"}}
        series = self.post("/tools/find", query)
        instances = [i for s in sorted(series) for i in json.loads(self.get(f"/series/{s}"))["Instances"]]
        return tuple(self.get(f"/instances/{instance}/file") for instance in instances)


@contextmanager
def running_orthanc(
    folder: Path, executable: str | None = None, *, extra: Mapping[str, Any] | None = None
) -> Iterator[Orthanc]:
    """Start Orthanc with its data in `folder`, and `extra` in its configuration; kill it at the end.

    Raises:
        ProgramMissing: Orthanc is not installed.
        ProgramNotReady: it did not answer in time.
    """
    program = executable or shutil.which("Orthanc")
    if program is None:
        raise ProgramMissing("Orthanc is not installed: apt-get install orthanc, or use `--pacs embedded`")
    dicom_port, http_port = free_ports(2)
    configuration = folder / "orthanc.json"
    values = {**_configuration(folder, dicom_port, http_port), **(extra or {})}
    configuration.write_text(json.dumps(values), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
    try:
        server = Orthanc(
            host="127.0.0.1",
            port=dicom_port,
            ae_title=AE_TITLE,
            url=f"http://127.0.0.1:{http_port}",
            dicomweb=DICOMWEB_PLUGIN.exists(),
        )
        _wait_until_ready(server, process)
        yield server
    finally:
        # Nobody reads its data any more, and an orderly stop takes 3 to 10 s.
        process.kill()
        process.wait()


def free_ports(count: int) -> tuple[int, ...]:
    """Return different loopback TCP ports on which nothing is listening.

    They are below the ports that Linux gives to outgoing connections (32768 and above): such a connection
    could take the port before its server listens on it.
    """
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(_PORTS)
        if port not in found and _is_free(port):
            found.append(port)
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _configuration(folder: Path, dicom_port: int, http_port: int) -> dict[str, Any]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return {
        "Name": "ECHO Agent's neighbour",
        "StorageDirectory": str(data),
        "IndexDirectory": str(data),
        "DicomAet": AE_TITLE,
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "DicomCheckCalledAet": False,
        "OverwriteInstances": False,
        "StableAge": 1,
        "Plugins": [str(DICOMWEB_PLUGIN)] if DICOMWEB_PLUGIN.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _wait_until_ready(server: Orthanc, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise ProgramNotReady("Orthanc did not start; its last words are in orthanc.log of its folder")
