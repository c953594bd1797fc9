"""A manager with both transports on loopback, one for each test file; the tests use UIDs of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from agent.database.session import Database, open_engine
from agent.foundation.settings.tree import ListenerSettings
from agent.ris.ups.manager import Manager
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.scu import RemoteManager, open_manager
from tests.integration.ups.node import Node, installed_modules
from tests.support.ups_peer import peer

SUBSCRIBERS = ("READER", "A", "B")
_numbers = count(1)


@pytest.fixture(scope="module")
def worklist_database(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Database]:
    """An empty SQLite database with the newest schema."""
    path = tmp_path_factory.mktemp("ups") / "agent.db"
    shutil.copyfile(migrated_file, path)
    opened = Database(open_engine(f"sqlite:///{path}"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def manager(worklist_database: Database) -> Manager:
    """A manager that knows some subscribers."""
    return Manager(worklist_database, reachable=SUBSCRIBERS)


@pytest.fixture(scope="module")
def port(manager: Manager) -> Iterator[int]:
    """The DIMSE port of a running worklist."""
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    yield scp.start()
    scp.stop()


@pytest.fixture(scope="module")
def remote(port: int) -> Iterator[RemoteManager]:
    """An open association with the worklist."""
    with open_manager(peer(port)) as opened:
        yield opened


@pytest.fixture
def uid() -> str:
    """The UID of a workitem that no other test uses."""
    return f"2.25.777.{next(_numbers)}"


@pytest.fixture(scope="session")
def node(program: Callable[[str], str]) -> Node:
    """The runner of the peers written with npm's dcmjs-dimse."""
    return Node(program("node"), installed_modules(program))
