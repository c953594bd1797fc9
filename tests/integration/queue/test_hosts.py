"""Workers on several machines: hosts in network namespaces, each with a cable to the database's host.

Skipped with the reason where namespaces cannot be created. Nothing leaves this machine.
"""

from __future__ import annotations

import itertools
import os
import selectors
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import pytest
from sqlalchemy import select

from agent.commands.demo.postgres import PostgresServer
from agent.database.session import Database, open_engine
from agent.database.states import JobState
from agent.database.tables import JobEvent
from tests.support.queue_processes import (
    LONG_S,
    PATIENCE_S,
    PROGRAM,
    RENEW_S,
    attempts,
    ended,
    expire,
    fill,
    finishes,
    line_of,
    taken_over,
)

pytestmark = pytest.mark.integration

# TEST-NET-2, which no real network should use (RFC 5737).
NETWORK = "198.51.100."
# A cable's addresses are used once: a pulled cable's connections may hold them for minutes.
_cables = itertools.count()


def _cannot(reason: str) -> NoReturn:
    pytest.skip(f"no hosts in network namespaces: {reason}")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=PATIENCE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A namespace with one cable; `gateway` is the database's host as seen from it."""

    name: str
    cable: str
    gateway: str

    @contextmanager
    def worker(self, url: str, mode: str = "work") -> Iterator[subprocess.Popen[str]]:
        """A worker process on this host, with a host name of its own."""
        inside = 'hostname "$0" && exec "$@"'
        command = ["ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", inside, self.name]
        program = [
            sys.executable,
            str(PROGRAM),
            url,
            f"worker@{self.name}",
            mode,
            str(LONG_S),
            "3",
            str(RENEW_S),
        ]
        pipe = subprocess.PIPE
        process = subprocess.Popen([*command, *program], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def unplug(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def plug_in(self) -> None:
        """Plug the cable in again."""
        _ip("link", "set", self.cable, "up")


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """Three hosts."""
    if os.geteuid() != 0:
        _cannot("that takes root")
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        _cannot("iproute2 and util-linux are not installed")
    if NETWORK in subprocess.check_output(["ip", "-4", "-oneline", "address"], text=True):
        _cannot(f"this machine uses {NETWORK}0/24 itself")
    made = []
    try:
        for number in range(3):
            mark = f"ea{os.getpid() % 100_000}h{number}"
            first = 4 * next(_cables)
            host = Host(name=mark, cable=f"{mark}a", gateway=f"{NETWORK}{first + 1}")
            try:
                _ip("netns", "add", host.name)
                made.append(host)
                _ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            except subprocess.CalledProcessError as error:
                _cannot(error.stderr.decode(errors="replace").strip())
            _ip("address", "add", f"{host.gateway}/30", "dev", host.cable)
            _ip("link", "set", host.cable, "up")
            _ip("-n", host.name, "address", "add", f"{NETWORK}{first + 2}/30", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "eth0", "up")
        yield made
    finally:
        for host in made:
            # The cable first: with its namespace it goes late, and the next test would find its address.
            with suppress(subprocess.CalledProcessError):
                _ip("link", "del", host.cable)
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", host.name)


@contextmanager
def relayed(addresses: list[str], port: int) -> Iterator[None]:
    """Let the hosts reach the server, which listens on loopback only."""
    stop = threading.Event()
    listeners = []
    for address in addresses:
        listener = socket.create_server((address, port))
        listener.settimeout(0.2)
        listeners.append(listener)
        threading.Thread(target=_accept, args=(listener, port, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        for listener in listeners:
            listener.close()


def _accept(listener: socket.socket, port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            near, _address = listener.accept()
        except TimeoutError:
            continue
        except OSError:
            return
        threading.Thread(target=_relay, args=(near, port, stop), daemon=True).start()


def _relay(near: socket.socket, port: int, stop: threading.Event) -> None:
    with near, socket.create_connection(("127.0.0.1", port)) as far, selectors.DefaultSelector() as ready:
        near.setblocking(True)
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while not stop.is_set():
            for key, _events in ready.select(0.2):
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                try:
                    data = source.recv(65536)
                    target.sendall(data)
                except OSError:
                    return
                if not data:
                    return


@pytest.fixture
def database(postgres: PostgresServer, postgres_template: str) -> Iterator[Database]:
    """An empty PostgreSQL database with the newest schema, on the host in the middle."""
    opened = Database(open_engine(postgres.url(postgres.create(postgres_template))))
    yield opened
    opened.close()


def url_for(host: Host, database: Database) -> str:
    """The database's URL for this host."""
    return database.engine.url.set(host=host.gateway).render_as_string(hide_password=False)


def test_hosts_share_the_queue(database: Database, hosts: list[Host]) -> None:
    """Three machines finish thirty jobs, each once, and the history names the machine."""
    fill(database, 30)
    port = database.engine.url.port
    assert port is not None
    with relayed([host.gateway for host in hosts], port):
        a, b, c = hosts
        with (
            a.worker(url_for(a, database)) as one,
            b.worker(url_for(b, database)) as two,
            c.worker(url_for(c, database)) as three,
        ):
            assert sum(ended(process).count("done") for process in (one, two, three)) == 30
    found = finishes(database)
    assert (len(found), set(found.values())) == (30, {1})
    with database.reading() as session:
        actors = set(
            session.scalars(select(JobEvent.actor).where(JobEvent.to_state == JobState.DRAFTED.value))
        )
    assert actors <= {f"worker@{host.name}" for host in hosts}


def test_host_that_is_cut_off_loses_its_jobs_and_its_results(database: Database, hosts: list[Host]) -> None:
    """If a host is cut off with jobs in hand, another finishes them, and its late results are refused."""
    fill(database, 3)
    port = database.engine.url.port
    assert port is not None
    cut, other, _third = hosts
    with relayed([host.gateway for host in hosts], port), cut.worker(url_for(cut, database), "hold") as late:
        assert line_of(late) == "3"
        cut.unplug()
        expire(database)
        taken_over(database)
        with other.worker(url_for(other, database)) as replacement:
            assert ended(replacement) == ["3", "done", "done", "done"]
        cut.plug_in()
        assert ended(late, "go\n") == ["lost", "lost", "lost"]
    assert set(finishes(database).values()) == {1}
    assert attempts(database) == [2, 2, 2]
