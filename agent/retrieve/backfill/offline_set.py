"""A folder of drafts made offline: the description of the set, its Parquet parts, and the studies it already
has.

Parts and documents are written under another name first, and documents before the part that names them, so
that a killed process leaves no incomplete file. The next run continues with what is missing.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.foundation.backfill_errors import AnotherSet, PackagesMissing
from agent.foundation.errors import UnusableFile

_DESCRIPTION = "set.json"
_LOCK = ".lock"
_LISTS = ("present", "absent", "indeterminate", "flags")
_COLUMNS = (
    "study_instance_uid", "state", "code", "reason", "text", *_LISTS, "findings_sha256", "report_sha256",
)  # fmt: skip
# Studies per part: a killed process repeats at most this many.
PART_ROWS = 200
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDescription:
    """What all drafts of a set have in common. created: the time in all documents (ISO 8601)."""

    created: str
    model: str
    weights_sha256: str


class DraftSet:
    """The folder of one set."""

    def __init__(self, folder: Path) -> None:
        """Open or create it.

        Raises:
            PackagesMissing: the packages that write Parquet are not installed.
            UnusableFile: it cannot be written, or another process is writing it.
        """
        self._folder = folder
        self._arrow, self._parquet = _parquet()
        self._rows: list[Row] = []
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Held until this object is gone: a second process would write parts with the same numbers.
            weakref.finalize(self, os.close, _locked(folder))
        self._number = len(self._parts())

    def agree(self, wanted: SetDescription) -> SetDescription:
        """Return the description of the set: the one from its first run, or the wanted one if there was none.

        Raises:
            AnotherSet: the folder holds drafts of another network.
        """
        file = self._folder / _DESCRIPTION
        if not file.exists():
            with _writing(self._folder):
                _write(file, json.dumps(asdict(wanted), indent=1).encode() + b"\n")
            return wanted
        found = SetDescription(**json.loads(file.read_text(encoding="utf-8")))
        if found.weights_sha256 != wanted.weights_sha256:
            raise AnotherSet(f"{self._folder} holds drafts of {found.model}: give another folder")
        return found

    def done(self) -> frozenset[str]:
        """Return the studies in the set, in whatever state they ended."""
        found: set[str] = set()
        for part in self._parts():
            table = self._parquet.read_table(part, columns=["study_instance_uid"])
            found.update(table["study_instance_uid"].to_pylist())
        return frozenset(found)

    def add(self, row: Row, documents: Mapping[str, bytes]) -> None:
        """Store one study: its documents immediately, its row with the next part.

        Raises:
            UnusableFile: the folder cannot be written.
        """
        with _writing(self._folder):
            for role, content in documents.items():
                folder = self._folder / "sr" / str(row["study_instance_uid"])
                folder.mkdir(parents=True, exist_ok=True)
                _write(folder / f"{role}.dcm", content)
        self._rows.append(row)
        if len(self._rows) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows in memory as a part.

        Raises:
            UnusableFile: the folder cannot be written.
        """
        if not self._rows:
            return
        arrow = self._arrow
        types = [arrow.list_(arrow.string()) if name in _LISTS else arrow.string() for name in _COLUMNS]
        schema = arrow.schema(list(zip(_COLUMNS, types, strict=True)))
        table = arrow.Table.from_pylist([dict(row) for row in self._rows], schema=schema)
        file = self._folder / f"part-{self._number:05}.parquet"
        partial = file.with_suffix(".partial")
        with _writing(self._folder):
            self._parquet.write_table(table, partial, compression="zstd")
            _rename(partial, file)
        self._number += 1
        self._rows.clear()

    def _parts(self) -> Sequence[Path]:
        return sorted(self._folder.glob("part-*.parquet"))


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise PackagesMissing(
            "Parquet needs further packages: install the service with `EXTRAS=ray`"
        ) from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Name the folder and what to do where it cannot be written."""
    try:
        yield
    except BlockingIOError:
        raise UnusableFile(
            f"another process is writing {folder}", remedy="wait for it, or give another folder"
        ) from None
    except OSError as error:
        raise UnusableFile(
            f"{folder} cannot be written: {error.strerror or type(error).__name__}",
            remedy="make room or correct its permissions, and repeat the command: it continues",
        ) from error


def _locked(folder: Path) -> int:
    """Return the descriptor of the file that says who writes the folder, locked."""
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _write(file: Path, content: bytes) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.write_bytes(content)
    _rename(partial, file)


def _rename(partial: Path, file: Path) -> None:
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(file)
