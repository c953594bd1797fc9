"""The listener's port: free, ours already, or another program's."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Worker
from agent.foundation.errors import AgentError
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.tree import DestinationSettings, ListenerSettings, TlsSettings
from agent.operations.status import ALIVE_WITHIN_S

# What is there, and what to do; empty where nothing is to be done.
Found = tuple[str, str]


def listener_found(
    listener: ListenerSettings, open_database: Callable[[], Database], within_s: float
) -> Found:
    """Check whether the listener's port is free, or in use by our own listener."""
    host, port = listener.host, listener.port
    where = f"{listener.ae_title} at {host}:{port}"
    if port == 0:
        return f"{host}, any free port", ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            cure = "take a port above 1023, or grant CAP_NET_BIND_SERVICE"
            return f"this user may not use port {port}", cure
        except OSError as error:
            # An echo from an AE title that is not in `listener.allow` would leave a refusal on record.
            if _has_heartbeat(listener, open_database):
                return f"{where} runs", ""
            if _answers(listener, within_s):
                return f"{where} runs and answers", ""
            return (
                f"{where}: {os.strerror(error.errno or 0)}, and no C-ECHO answer from there",
                "stop the other program, or change `listener.host` and `listener.port`",
            )
    return f"{where} is free to use", ""


def _has_heartbeat(listener: ListenerSettings, open_database: Callable[[], Database]) -> bool:
    """Whether a listener of this machine says in the database that it has this port."""
    try:
        database = open_database()
        with database.reading() as session:
            since = database_now(session) - timedelta(seconds=ALIVE_WITHIN_S)
            ours = (Worker.role == "listener", Worker.host == socket.gethostname(), Worker.seen_at >= since)
            ports = {row.get("port") for row in session.scalars(select(Worker.about).where(*ours))}
        database.close()
    except AgentError:
        return False  # the check of the database says why
    return listener.port in ports


def _answers(listener: ListenerSettings, within_s: float) -> bool:
    """Whether what has the port answers a C-ECHO sent with our listener's own AE title."""
    from agent.network.store_scu import echo

    host = "127.0.0.1" if listener.host in ("0.0.0.0", "::") else listener.host
    us = DestinationSettings(
        name="listener",
        host=host,
        port=listener.port,
        ae_title=listener.ae_title,
        calling_ae_title=listener.ae_title,
        timeout_s=within_s,
        tls=None if listener.tls is None else _as_client(listener.tls),
    )
    try:
        echo(us)
    except AgentError:
        return False
    return True


def _as_client(tls: TlsSettings) -> ClientTlsSettings:
    """Our own certificate, presented to our own listener; it need not be issued for the loopback address."""
    return ClientTlsSettings(
        authorities=tls.authorities, certificate=tls.certificate, key=tls.key, verify_host=False
    )
