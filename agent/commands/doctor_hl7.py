"""`doctor` on HL7: our own port, and whether a receiver of results accepts connections."""

from __future__ import annotations

import errno
import os
import socket

from agent.foundation.errors import AgentError
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.tree import DestinationSettings, Hl7Settings

# What was found, and what to do; nothing to do where it is right.
Found = tuple[str, str]


def port_found(settings: Hl7Settings) -> Found:
    """Whether the HL7 port is free or taken, and who may send."""
    where = f"{settings.host}:{settings.port}"
    if not settings.allow and not is_loopback(settings.host):
        return f"{where} can be reached, but no system may send", "list the RIS under `hl7.allow`"
    secured = "over TLS" if settings.tls else "without encryption"
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{where} {secured} is in use: by `echo-agent listen`, if it runs", ""
            return f"{where}: {os.strerror(error.errno or 0)}", "change `hl7.host` or `hl7.port`"
    return f"{where} {secured} is free to use", ""


def receiver_found(destination: DestinationSettings, within_s: float) -> Found:
    """Whether a receiver of HL7 accepts a connection; a message would leave a trace."""
    from agent.network.tcp_client import reachable

    try:
        reachable(destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)}))
    except AgentError as error:
        return str(error), "check host, port and `tls`; the receiver must allow this address"
    return f"{destination.place} accepts connections{' over TLS' if destination.tls else ''}", ""
