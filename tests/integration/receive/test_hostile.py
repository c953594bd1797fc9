"""The listener and hostile peers: whatever they do, a well-behaved peer is served at once."""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from agent.network.contexts import CR_IMAGE
from agent.receive.ledger import HALF_OPEN_PER_ADDRESS
from tests.integration.receive.peer import (
    Listener,
    associate,
    data_pdus,
    echo_works,
    read_pdu,
    request_pdu,
    status_of,
    store_command,
)
from tests.support.films import bare_film, dataset_bytes
from tests.support.memory import allocated

pytestmark = pytest.mark.integration
Start = Callable[..., Listener]
COMMAND = store_command(CR_IMAGE.encode(), b"1.2.3.1.1")
RELEASE = struct.pack(">BxI4x", 5, 4)
ABORT = struct.pack(">BxI4x", 7, 4)


def established(listener: Listener) -> socket.socket:
    """A raw connection with an accepted association."""
    connection = listener.connect()
    connection.sendall(request_pdu())
    assert read_pdu(connection)[0] == 2
    return connection


def is_cut(connection: socket.socket, within_s: float = 60.0) -> bool:
    """Whether the listener ends the connection in time, with or without an A-ABORT."""
    connection.settimeout(within_s)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


def drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte every 50 ms."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def flood(connection: socket.socket, data: bytes) -> None:
    """Send the same data repeatedly, 32 MB in all."""
    for _ in range(32_000_000 // len(data)):
        connection.sendall(data)


def nothing_is_left(listener: Listener) -> bool:
    """Whether no connection is open and no byte is reserved."""
    about = listener.scp.about()
    return bool(about["connections"] == 0 and about["in_flight_bytes"] == 0)


OPENINGS = [b"", b"\x01", b"\x01\x00\x00\x00\x10\x00", request_pdu()[:-1]]


@pytest.mark.parametrize("opening", OPENINGS)
def test_half_open_peers_keep_nobody_out(start: Start, opening: bytes) -> None:
    """Silent peers and half PDUs take up no association: the next request is served meanwhile."""
    listener = start(maximum_associations=2, acse_timeout_s=60)
    held = [listener.connect() for _ in range(60)]
    for connection in held:
        try:
            connection.sendall(opening)
        except OSError:
            continue  # it was evicted already
    assert echo_works(listener)
    assert listener.scp.about()["evicted"] >= 60 - HALF_OPEN_PER_ADDRESS
    # It was served while those were still open: none had to reach its time limit first.
    assert listener.scp.about()["connections"] >= HALF_OPEN_PER_ADDRESS - 1


@pytest.mark.parametrize("opening", OPENINGS)
def test_half_open_peers_are_cut(start: Start, opening: bytes) -> None:
    """A peer that sends no complete request is cut at the association's time limit."""
    listener = start(acse_timeout_s=0.2)
    connection = listener.connect()
    connection.sendall(opening)
    assert is_cut(connection)
    listener.until(lambda: nothing_is_left(listener))


def test_dripped_request_is_cut(start: Start) -> None:
    """Single bytes do not prolong the time: the whole request has one deadline."""
    listener = start(acse_timeout_s=0.5)
    connection = listener.connect()
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        drip(connection, request_pdu())
    listener.until(lambda: nothing_is_left(listener))


def test_dripped_data_is_cut(start: Start) -> None:
    """Every PDU of an association has such a deadline too."""
    listener = start(pdu_timeout_s=0.5)
    connection = established(listener)
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        drip(connection, data_pdus(1, True, COMMAND))
    listener.until(lambda: nothing_is_left(listener))
    assert listener.count("pdu-timeout") == 1


def test_idle_association_is_cut(start: Start) -> None:
    """An association that is silent for the network timeout is ended."""
    listener = start(network_timeout_s=0.5)
    assert is_cut(established(listener))


@pytest.mark.parametrize("kind", [1, 4, 5, 7])
def test_declared_gigabytes_are_not_read(start: Start, kind: int) -> None:
    """A PDU that declares 4 GiB is cut at its header, before and after the association is accepted."""
    listener = start()
    before = allocated()
    for connection in (listener.connect(), established(listener)):
        connection.sendall(struct.pack(">BxI", kind, 0xFFFFFFFF))
        try:
            for _ in range(200):
                connection.sendall(bytes(1 << 16))
        except OSError:
            pass
        assert is_cut(connection)
    assert allocated() - before < 30_000_000
    assert echo_works(listener)


@pytest.mark.parametrize("ending", ["too-large", "reset", "closed"])
def test_object_that_ends_midway_is_freed_at_once(start: Start, ending: str) -> None:
    """Its bytes do not wait for the garbage collector, which would defeat the limit on objects in flight."""
    listener = start(maximum_object_mb=24 if ending == "too-large" else 64)
    gc.collect()
    gc.disable()
    before = allocated()
    try:
        for _ in range(5):
            connection = established(listener)
            with suppress(OSError):
                connection.sendall(data_pdus(1, True, COMMAND))
                # 26 MB without the last fragment: each message control header says that more follows.
                for _ in range(200):
                    connection.sendall(struct.pack(">BxIIBB", 4, 130_006, 130_002, 1, 0) + bytes(130_000))
            if ending == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            listener.until(lambda: nothing_is_left(listener))
        assert allocated() - before < 60_000_000
    finally:
        gc.enable()


def test_one_peer_cannot_take_all_associations(start: Start) -> None:
    """The limit for one address holds even if the listener has room."""
    listener = start(maximum_associations=10, maximum_associations_per_peer=2)
    first, second = associate(listener), associate(listener)
    third = associate(listener)
    assert (first.is_established, second.is_established, third.is_rejected) == (True, True, True)
    assert listener.count("rejected-full") == 1
    first.release()
    second.release()


def test_flood_of_requests_is_answered_and_forgotten(start: Start) -> None:
    """Beyond the limit each request is rejected; no thread and no connection remains."""
    listener = start(maximum_associations=3)
    connections = [listener.connect() for _ in range(30)]
    answers = []
    for connection in connections:
        connection.sendall(request_pdu())
        answers.append(read_pdu(connection)[0])
    assert (answers.count(2), answers.count(3)) == (3, 27)
    for connection in connections:
        connection.close()
    listener.until(lambda: nothing_is_left(listener))
    assert echo_works(listener)


@pytest.mark.parametrize("ending", ["abort", "close", "reset", "release", "request", "garbage"])
def test_transfer_that_breaks_off_leaves_nothing(start: Start, ending: str) -> None:
    """A partial object is not kept, however the peer leaves."""
    listener = start()
    connection = established(listener)
    connection.sendall(data_pdus(1, True, COMMAND) + data_pdus(1, False, bytes(100_000))[:70_000])
    listener.until(lambda: listener.scp.about()["in_flight_bytes"] > 0)
    if ending == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    elif ending == "close":
        connection.close()
    else:
        rest = data_pdus(1, False, bytes(100_000))[70_000:]
        rest = rest[: -struct.calcsize(">6x")] if ending == "garbage" else rest[:28_000]
        connection.sendall({"abort": ABORT, "release": RELEASE, "request": request_pdu()}.get(ending, rest))
        connection.close()
    listener.until(lambda: nothing_is_left(listener))
    assert (listener.instances(), listener.quarantined(), list(listener.store.files())) == (0, 0, [])
    assert echo_works(listener)


def test_object_beyond_the_bound_ends_its_association(start: Start) -> None:
    """An object larger than allowed is cut while it arrives, not once it is complete."""
    listener = start(maximum_object_mb=1)
    connection = established(listener)
    connection.sendall(data_pdus(1, True, COMMAND))
    fragment = data_pdus(1, False, bytes(16000), 16000)
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        flood(connection, fragment[:11] + b"\x00" + fragment[12:])
    listener.until(lambda: nothing_is_left(listener))
    assert listener.count("object-too-large") == 1
    assert listener.instances() == 0


def test_objects_in_flight_are_bounded_together(start: Start) -> None:
    """An object beyond the common limit is dropped with 0xA700, and accepted once there is room."""
    listener = start(maximum_in_flight_mb=0.2)
    first, second = established(listener), established(listener)
    whole = data_pdus(1, False, bytes(150_000))
    first.sendall(data_pdus(1, True, COMMAND) + whole[:-20_000])
    listener.until(lambda: listener.scp.about()["in_flight_bytes"] > 100_000)
    second.sendall(data_pdus(1, True, COMMAND) + whole)
    kind, body = read_pdu(second)
    assert (kind, status_of(body)) == (4, 0xA700)
    assert listener.scp.about()["in_flight_bytes"] < 150_000
    first.close()
    listener.until(lambda: listener.scp.about()["in_flight_bytes"] == 0)
    second.sendall(data_pdus(1, True, COMMAND) + whole)
    kind, body = read_pdu(second)
    assert (kind, status_of(body)) == (4, 0xC000)
    assert (listener.count("too-much-in-flight"), listener.quarantined()) == (1, 1)


def test_dropped_objects_are_bounded_too(start: Start) -> None:
    """A peer whose object is being dropped is cut at the limit of one object."""
    listener = start(maximum_in_flight_mb=0.05, maximum_object_mb=1)
    connection = established(listener)
    fragment = data_pdus(1, False, bytes(16000), 16000)
    connection.sendall(data_pdus(1, True, COMMAND))
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        flood(connection, fragment[:11] + b"\x00" + fragment[12:])
    listener.until(lambda: nothing_is_left(listener))
    assert listener.count("object-too-large") == 1


def test_endless_command_is_cut(start: Start) -> None:
    """A command set that never ends cannot fill the memory."""
    listener = start()
    connection = established(listener)
    fragment = data_pdus(1, True, bytes(16000), 16000)
    unfinished = fragment[:11] + b"\x01" + fragment[12:]
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        flood(connection, unfinished)
    listener.until(lambda: nothing_is_left(listener))
    assert listener.count("command-too-long") == 1


def test_peer_that_never_waits_is_cut(start: Start) -> None:
    """A peer that does not wait for answers is cut, as no asynchronous operations were negotiated."""
    listener = start()
    connection = established(listener)
    one = data_pdus(1, True, COMMAND) + data_pdus(1, False, dataset_bytes(bare_film()))
    try:
        for _ in range(300):
            connection.sendall(one * 10)
    except OSError:
        pass
    assert is_cut(connection)
    listener.until(lambda: nothing_is_left(listener))
    assert echo_works(listener)


def test_damaged_streams_never_stop_the_listener(start: Start, shared_data: Path) -> None:
    """After recorded client streams, truncated and with changed bytes, the listener serves the next peer."""
    listener = start(
        acse_timeout_s=0.3, pdu_timeout_s=0.3, network_timeout_s=0.5, require_called_ae_title=False
    )
    chance = random.Random(20260101)
    streams = [path.read_bytes() for path in sorted((shared_data / "08_net_raw").iterdir())]
    streams.append(
        request_pdu()
        + data_pdus(1, True, COMMAND)
        + data_pdus(1, False, dataset_bytes(bare_film()))
        + RELEASE
    )
    threads = psutil.Process().num_threads()
    for _ in range(120):
        stream = bytearray(chance.choice(streams))
        for _ in range(chance.choice([0, 1, 3, 20])):
            stream[chance.randrange(min(len(stream), 600))] = chance.randrange(256)
        connection = listener.connect()
        connection.sendall(stream[: chance.randrange(1, len(stream) + 1)])
        if chance.random() < 0.5:
            connection.close()
    # The test's own connections may reach the limit of its address: they have to end first.
    listener.until(lambda: nothing_is_left(listener))
    assert echo_works(listener)
    listener.until(lambda: psutil.Process().num_threads() <= threads + 2)


def test_recorded_streams_are_served(start: Start, shared_data: Path) -> None:
    """In the undamaged recordings an echo is answered, and a store in a refused context is aborted."""
    listener = start(require_called_ae_title=False)
    for path in sorted((shared_data / "08_net_raw").iterdir()):
        connection = listener.connect()
        stream = path.read_bytes()
        request = 6 + struct.unpack_from(">I", stream, 2)[0]
        connection.sendall(stream[:request])
        assert read_pdu(connection)[0] == 2
        connection.sendall(stream[request:])
        assert is_cut(connection)
    listener.until(lambda: nothing_is_left(listener))
    assert listener.count("echo") == 1


def test_open_files_are_flat(start: Start) -> None:
    """Three hundred short connections leave no file descriptor behind."""
    listener = start()
    assert echo_works(listener)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        connection = listener.connect()
        connection.sendall(request_pdu() if number % 3 else b"GET / HTTP/1.1\r\n\r\n")
        connection.close()
    listener.until(lambda: nothing_is_left(listener))
    listener._opened.clear()
    assert len(os.listdir("/proc/self/fd")) <= before + 3
