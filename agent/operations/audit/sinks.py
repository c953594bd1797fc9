"""Destinations of audit messages: a file, with one line each, or a syslog server.

Syslog messages are RFC 5424 with the octet counting of RFC 5425. The protocol has no acknowledgement, so the
orderly end of the connection serves as one: after a batch we close our side, and the server's close shows
that it has read everything (RFC 5425 section 4.4). A reset or a timeout is a failure.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agent.foundation.errors import AuditUndelivered
from agent.foundation.settings.audit import AuditSettings

# Facility 10 (security), severity 5 (notice); severity 4 (warning) for failures.
_FACILITY, _NOTICE, _WARNING = 10, 5, 4
_APP_NAME, _MESSAGE_ID = "echo-agent", "DICOM+RFC3881"
_MARK = b"\xef\xbb\xbf"  # marks the text as UTF-8 (RFC 5424 section 6.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLine:
    """One message as sent: its time, whether the action succeeded, and its text on one line."""

    at: datetime
    succeeded: bool
    text: str


class Sink(Protocol):
    """A destination of messages."""

    @property
    def name(self) -> str:
        """The name under which the sink's position is stored."""

    def deliver(self, lines: Sequence[MessageLine]) -> None:
        """Deliver a batch in order.

        Raises:
            AuditUndelivered: some or all of it may be missing; the batch must be delivered again.
        """


class FileSink:
    """Appends to a file, durably; reopens it for each batch, so that it can be rotated by renaming."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, lines: Sequence[MessageLine]) -> None:
        """Append a batch and flush it to the disk."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "r+b") as file:
                if os.fstat(descriptor).st_size == 0:
                    # Collectors read it through its group, whatever the process's umask is.
                    os.fchmod(descriptor, 0o640)
                # A power cut may have truncated the last line: the next message starts on a new line.
                end = file.seek(0, os.SEEK_END)
                torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
                file.write((b"\n" if torn else b"") + b"".join(f"{one.text}\n".encode() for one in lines))
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise AuditUndelivered("`audit.file` cannot be written: check its disk and its folder") from error


class SyslogSink:
    """Sends to a syslog server over TLS; over plain TCP or UDP only on this machine."""

    name = "syslog"

    def __init__(self, settings: AuditSettings, *, host: str, pid: int, timeout_s: float = 10.0) -> None:
        """Take the address and the TLS files from the settings; nothing is opened yet."""
        self._settings = settings
        self._scheme, self._host, self._port = settings.syslog_address
        self._source = f"{_printable(host, 255)} {_APP_NAME} {pid} {_MESSAGE_ID}"
        self._timeout_s = timeout_s

    def deliver(self, lines: Sequence[MessageLine]) -> None:
        """Send a batch over a new connection, and wait until the server has read it."""
        frames = [syslog_message(one, self._source) for one in lines]
        try:
            if self._scheme == "udp":
                self._send_datagrams(frames)
                return
            with self._connected() as connection:
                connection.sendall(b"".join(b"%d %s" % (len(frame), frame) for frame in frames))
                _await_end(connection)
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise AuditUndelivered(f"the syslog server {where} does not accept audit messages") from error

    def _send_datagrams(self, frames: Sequence[bytes]) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect((self._host, self._port))
            for frame in frames:
                datagrams.send(frame)

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.create_connection((self._host, self._port), self._timeout_s) as plain:
            if self._scheme != "tls":
                yield plain
                return
            with self._context().wrap_socket(plain, server_hostname=self._host) as secure:
                yield secure

    def _context(self) -> ssl.SSLContext:
        authorities = self._settings.syslog_authorities
        context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._settings.syslog_certificate, self._settings.syslog_key
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key)
        return context


def syslog_message(line: MessageLine, source: str) -> bytes:
    """Return one message of RFC 5424; `source` is host, application, process and message id."""
    priority = _FACILITY * 8 + (_NOTICE if line.succeeded else _WARNING)
    moment = line.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"<{priority}>1 {moment} {source} - ".encode("ascii") + _MARK + line.text.encode()


def _await_end(connection: socket.socket) -> None:
    """Close our side, and wait until the server closes its own.

    Raises:
        OSError: it reset the connection, or did not close in time.
    """
    if isinstance(connection, ssl.SSLSocket):
        try:
            connection.unwrap()
        except ssl.SSLEOFError:
            pass  # it closed without the TLS form; a server with unread bytes would have reset
        except ssl.SSLError as error:
            # Some servers close at once after reading our close.
            if error.reason not in (None, "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
                raise
        return
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def _printable(text: str, longest: int) -> str:
    return re.sub(r"[^\x21-\x7e]", "-", text)[:longest] or "-"
