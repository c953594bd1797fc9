"""The `doctor` checks for HL7: our own port, the outcome of messages, and whether a receiver accepts
connections.
"""

from __future__ import annotations

import errno
import os
import socket
from datetime import timedelta

from sqlalchemy import func, select

from agent.database.orders import Hl7Message
from agent.database.session import Database, database_now
from agent.foundation.errors import SettingsError
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.tree import DestinationSettings, Hl7Settings
from agent.network.scu import ConnectionLost

# A receiver that sends nothing for this long (s) after the start of a frame is waiting for its end, as it
# should.
_SILENCE_S = 1.0
# What was found, and what to do; empty if nothing is wrong.
Found = tuple[str, str]


def port_found(settings: Hl7Settings) -> Found:
    """Check whether the HL7 port is free or in use, and who may send."""
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


def messages_found(database: Database) -> Found:
    """Count the messages of the last day, and those that were refused.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        since = database_now(session) - timedelta(days=1)
        counted = select(Hl7Message.outcome, func.count()).where(Hl7Message.received_at >= since)
        rows = session.execute(counted.group_by(Hl7Message.outcome)).all()
    counts = {row[0]: int(row[1]) for row in rows}
    found = f"{sum(counts.values())} in the last 24 hours, {counts.get('applied', 0)} of them applied"
    refused = counts.get("refused", 0)
    if not refused:
        return found, ""
    cure = "save one that the RIS shows as failed, and see `echo-agent hl7 try FILE` and `hl7.orders`"
    return f"{found}, {refused} refused (AE)", cure


def receiver_found(destination: DestinationSettings, within_s: float) -> Found:
    """Check whether an HL7 receiver accepts a connection; sending a message would leave a trace.

    It is sent the start of a frame that never ends, which is not a message; a receiver does not answer that.
    """
    from agent.network.port_probe import HL7_OPENING, PortState, probe_connection, probe_port
    from agent.network.tcp_client import connect

    timeout_s = min(destination.timeout_s, within_s)
    silence_s = min(timeout_s, _SILENCE_S)
    if destination.tls is None:
        state = probe_port(destination.host, destination.port, HL7_OPENING, timeout_s=silence_s)
    else:
        try:
            with connect(destination.model_copy(update={"timeout_s": timeout_s})) as connection:
                state = probe_connection(connection, HL7_OPENING, silence_s)
        except ConnectionLost as error:
            return error.finding, error.remedy
        except SettingsError as error:
            return str(error), "correct `tls` of this destination"
        if state in (PortState.TLS, PortState.CLOSED, PortState.RESET):
            # With TLS 1.3 a certificate is refused after the handshake.
            return (
                "the receiver ends the connection after the TLS handshake",
                "check that it accepts our `tls.certificate` and this address; its log says more",
            )
    if state not in (PortState.SILENT, PortState.HL7):
        return state.words, state.remedy
    return f"{destination.place} accepts connections{' over TLS' if destination.tls else ''}", ""
