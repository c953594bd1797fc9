"""Fixtures shared by all tests."""

from __future__ import annotations

import collections
import functools
import gc
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseServer
from typing import Any, NoReturn

import pytest
import structlog
from pynetdicom.transport import AssociationServer
from sqlalchemy import Connection, Dialect, Engine, event, util
from sqlalchemy.engine.default import DefaultDialect
from typer import testing as typer_testing

# Before anything imports torch or numpy. The tests' networks are tiny: a second thread makes nothing faster,
# and threads compete with other processes: training tests took up to five times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from agent.commands.demo.orthanc import Orthanc, free_ports, running_orthanc
from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.network.answers import leave_answers
from tests.support import warm_python

REPOSITORY = Path(__file__).resolve().parent.parent
_IN_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 8 * 2**30
LONGEST_FIRST = ("acceptance", "unit/model/train", "unit/benchmarks", "integration/backfill")
# The part of the run, after the longest, in which tests that wait for programs start.
WAITING_UNTIL = 0.8
# Caches that pytest and the tools called by tests may leave at the checkout's root; git ignores them.
_CACHES = {
    "__pycache__",
    ".pytest_cache",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".import_linter_cache",
}


def _use_memory() -> None:
    """Put the tests' files on the in-memory file system if the machine has one with enough room.

    On a disk the tests spend minutes waiting for it and deleting files, above all those of PostgreSQL.
    """
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK):
        return
    memory = os.statvfs(_IN_MEMORY)
    # test_install starts programs from there.
    if memory.f_bavail * memory.f_frsize >= _ROOM_BYTES and not memory.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(_IN_MEMORY)
        tempfile.tempdir = None


_use_memory()
# Nothing that is imported is garbage: with the default threshold it is scanned again and again.
gc.set_threshold(100_000, 20, 100)
# Typer rebuilds the command tree for each call, which takes longer than most commands do.
typer_testing._get_command = functools.cache(typer_testing._get_command)
# A server checks every half second whether it should stop, and hundreds of tests stop one or more.
BaseServer.serve_forever.__defaults__ = (0.02,)
# With each sixtieth of these checks pynetdicom's server runs a full garbage collection; ours never does.
AssociationServer.service_actions = BaseServer.service_actions  # type: ignore[method-assign]
# Tests and their peers use pynetdicom as the service does.
leave_answers()
# Engines compile each statement once for all tests, not once for each test's database. The key of a compiled
# statement contains the dialect, which is the same for all engines of a kind.
_compiled: collections.defaultdict[type[Dialect], util.LRUCache[Any, Any]] = collections.defaultdict(
    lambda: util.LRUCache(2000)
)
DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign,assignment]
DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]


@event.listens_for(Engine, "engine_connect")
def _share_compiled(connection: Connection) -> None:
    connection.engine._compiled_cache = _compiled[type(connection.dialect)]


_untracked_before = pytest.StashKey[set[str]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record the untracked files, and where forks come from, once for all test processes."""
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_untracked_before] = untracked_files(REPOSITORY)
        os.environ[warm_python.VARIABLE] = tempfile.mkdtemp(prefix="echo-agent-warm-")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if its tests left files anywhere in the checkout."""
    if hasattr(session.config, "workerinput"):
        return
    shutil.rmtree(os.environ[warm_python.VARIABLE], ignore_errors=True)
    left = untracked_files(REPOSITORY) - session.config.stash[_untracked_before]
    if left:
        print(f"\nthe tests left files in the checkout: {', '.join(sorted(left))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def untracked_files(folder: Path) -> set[str]:
    """Return the files below a folder that git neither tracks nor ignores; none outside a checkout."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "-z"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        return set()
    return {line[3:] for line in done.stdout.split("\0") if line.startswith("?? ")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the folders with the longest files first, so that no process waits for another at the end.

    Of the other files those that wait for programs are spread over most of the run: beside them the
    processors are free for those that compute.
    """
    files = dict.fromkeys(item.nodeid.partition("::")[0] for item in items)
    waiting = [file for file in files if file.startswith("tests/integration/")]
    computing = [file for file in files if not file.startswith("tests/integration/")]
    share = {file: number / len(group) for group in (waiting, computing) for number, file in enumerate(group)}
    for file in waiting:
        share[file] *= WAITING_UNTIL
    items.sort(key=lambda item: _turn(item.nodeid, share))


def _turn(test: str, share: dict[str, float]) -> tuple[int, float]:
    turns = [turn for turn, folder in enumerate(LONGEST_FIRST) if test.startswith(f"tests/{folder}/")]
    return (turns or [len(LONGEST_FIRST)])[0], share[test.partition("::")[0]]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: a gzip file, for example, contains the time, and every test process
    collects the tests itself and must find the same names.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish() -> None:
    """Keep what is imported by now to the end: garbage collection need not scan it.

    pytest's log capturing visits the loggers that do not propagate six times per test; torch has forty.
    """
    gc.freeze()
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.propagate = True


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_checkout() -> Iterator[None]:
    """A test writes to `tmp_path`; a relative path would end up in the working directory."""
    before = set(os.listdir(REPOSITORY))
    yield
    left = set(os.listdir(REPOSITORY)) - before - _CACHES
    assert left == set(), f"this test, or one that ran beside it, wrote {sorted(left)} into the checkout"


@pytest.fixture(autouse=True)
def logging_is_as_it_was() -> Iterator[None]:
    """Commands run in this process configure logging, which would otherwise affect the next test."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test with the reason; where everything must run (CI=true), fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample files next to the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        skip_or_fail(f"the sample files are not there: {folder}")
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface on which nothing listens."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and no rows; copied for each test, as migrating takes time."""
    path = tmp_path_factory.mktemp("database") / "template.db"
    template = Database(open_engine(f"sqlite:///{path}"))
    migrate.upgrade(template)
    with template.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    template.close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """An empty SQLite database with the newest schema."""
    path = tmp_path / "agent.db"
    shutil.copyfile(migrated_file, path)
    opened = Database(open_engine(f"sqlite:///{path}"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program of a Debian package (dcmtk, dicom3tools) or skip the test."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            skip_or_fail(f"{name} is not installed; `make setup` installs it where it may")
        return path

    return find


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real Orthanc on loopback, one for the whole session: tests use study UIDs of their own."""
    executable = shutil.which("Orthanc")
    if executable is None:
        skip_or_fail("Orthanc is not installed; `make setup` installs it where it may")
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), executable) as server:
        yield server
