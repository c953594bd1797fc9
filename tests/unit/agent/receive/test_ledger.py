"""Rules of the connection ledger: which connections are admitted, evicted, or told to retry later."""

from __future__ import annotations

from functools import partial

from agent.receive.ledger import (
    HALF_OPEN,
    HALF_OPEN_PER_ADDRESS,
    HALF_OPEN_PER_STRANGER,
    ConnectionLedger,
    PeerConnection,
)


def ledger(maximum: int = 4, per_peer: int = 3) -> ConnectionLedger:
    """A small ledger that knows the addresses beginning with 10."""
    return ConnectionLedger(maximum, per_peer, lambda address: address.startswith("10."))


def open_many(book: ConnectionLedger, address: str, count: int, closed: list[str]) -> list[PeerConnection]:
    """Open connections that record when they are closed."""
    return [book.open(address, partial(closed.append, f"{address}/{number}")) for number in range(count)]


def test_oldest_silent_connection_of_the_address_gives_way() -> None:
    """The newest connection is admitted; the oldest from the flooding address is closed for it."""
    book = ledger()
    closed: list[str] = []
    open_many(book, "10.0.0.1", HALF_OPEN_PER_ADDRESS + 2, closed)
    assert closed == ["10.0.0.1/0", "10.0.0.1/1"]
    assert (len(book.connections()), book.evicted) == (HALF_OPEN_PER_ADDRESS, 2)


def test_strangers_have_less_room() -> None:
    """An address that may not send at all gets only a few connections, enough to receive its rejection."""
    book = ledger()
    closed: list[str] = []
    open_many(book, "192.0.2.1", HALF_OPEN_PER_STRANGER + 1, closed)
    assert closed == ["192.0.2.1/0"]


def test_flood_from_many_addresses_costs_the_most_crowded_one() -> None:
    """There is also a limit in total; the address with the most half-open connections loses one."""
    book = ledger()
    closed: list[str] = []
    open_many(book, "10.0.0.1", 2, closed)
    for number in range(2, 10):
        open_many(book, f"10.0.0.{number}", 8, closed)
    assert len(book.connections()) == HALF_OPEN
    assert not any(name.startswith("10.0.0.1/") for name in closed)


def test_established_associations_are_never_evicted() -> None:
    """A flood closes silent connections, not established associations."""
    book = ledger()
    closed: list[str] = []
    (worker,) = open_many(book, "10.0.0.1", 1, closed)
    assert book.establish(worker)
    open_many(book, "10.0.0.1", HALF_OPEN_PER_ADDRESS + 5, closed)
    assert worker in book.connections()
    assert book.associations() == 1


def test_associations_are_bounded_in_all_and_by_peer() -> None:
    """Beyond a limit the answer is to retry later; an association that ends makes room."""
    book = ledger(maximum=4, per_peer=3)
    closed: list[str] = []
    mine = open_many(book, "10.0.0.1", 4, closed)
    assert [book.establish(one) for one in mine] == [True, True, True, False]
    others = open_many(book, "10.0.0.2", 2, closed)
    assert [book.establish(one) for one in others] == [True, False]
    book.close(mine[0])
    book.close(mine[0])
    assert book.establish(others[1])


def test_evicted_connection_cannot_become_an_association() -> None:
    """A request that arrives while its connection is being closed comes too late."""
    book = ledger()
    closed: list[str] = []
    first, *_ = open_many(book, "10.0.0.1", HALF_OPEN_PER_ADDRESS + 1, closed)
    assert book.establish(first) is False
