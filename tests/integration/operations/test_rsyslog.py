"""Audit messages reach a real syslog server over TLS, including those that waited while it was down."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database
from agent.foundation.errors import AuditUndelivered
from agent.foundation.settings.tree import Settings
from agent.operations.audit.export import AuditExporter

pytestmark = pytest.mark.integration
CONFIGURATION = """
global(
  DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="{folder}/server.pem"
  DefaultNetstreamDriverCertFile="{folder}/server.pem" DefaultNetstreamDriverKeyFile="{folder}/server.key"
  workDirectory="{folder}" maxMessageSize="64k"
)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="{port}")
template(name="line" type="string" string="%pri-text%|%hostname%|%app-name%|%msgid%|%msg%\\n")
action(type="omfile" file="{folder}/received" template="line")
"""


@pytest.fixture
def folder(tmp_path: Path, program: Callable[[str], str], free_port: int) -> Path:
    """The server's certificate and configuration."""
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "server.key"), "-out", str(tmp_path / "server.pem")]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([program("openssl"), *words.split(), *names, *files], check=True, capture_output=True)
    text = CONFIGURATION.format(folder=tmp_path, port=free_port)
    (tmp_path / "rsyslog.conf").write_text(text, encoding="utf-8")
    return tmp_path


@contextmanager
def serving(executable: str, folder: Path) -> Iterator[None]:
    """A running rsyslog, stopped cleanly so that it writes its queue to disk."""
    files = ["-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    process = subprocess.Popen(
        [executable, "-n", *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def deliver(exporter: AuditExporter) -> int:
    """Export as soon as the server accepts; return the number of messages."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return exporter.run_once()["syslog"]
        except AuditUndelivered:
            assert time.monotonic() < deadline, "rsyslog did not take the messages"
            time.sleep(0.2)


def test_messages_arrive_in_rsyslog(
    database: Database, folder: Path, free_port: int, program: Callable[[str], str]
) -> None:
    """Messages arrive whole, in order and once, with facility, host and message ID as in the standard."""
    settings = Settings(
        audit={"syslog": f"tls://localhost:{free_port}", "syslog_authorities": folder / "server.pem"}
    )
    exporter = AuditExporter(database, settings, host="echo1")
    executable = program("rsyslogd")
    sent = []
    for batch in range(2):
        with database.transaction() as session:
            for number in range(batch * 100, batch * 100 + 100):
                sent.append(f"user{number} äöü <&>")
                record(session, Event(action=Action.SIGN_IN, actor=sent[-1]))
        with pytest.raises(AuditUndelivered):
            exporter.run_once()
        with serving(executable, folder):
            assert deliver(exporter) == 100
    lines = (folder / "received").read_text(encoding="utf-8").splitlines()
    assert {line.rsplit("|", 1)[0] for line in lines} == {"authpriv.notice|echo1|echo-agent|DICOM+RFC3881"}
    messages = [fromstring(line[line.index("<?xml") :]) for line in lines]
    assert [one.find("ActiveParticipant").get("UserID") for one in messages] == sent
