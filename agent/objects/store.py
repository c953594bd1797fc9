"""The store of received objects: files named by the sha256 of their content, durable before they are named.

A peer's UID never becomes a path. An object is written to a temporary file on the same file system,
flushed to disk and renamed to its final name, and the folder is flushed too; only then does `put` return.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.foundation.errors import StorageFull
from agent.foundation.failpoints import failpoint
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREFIX = bytes(128) + b"DICM"
# Bytes written to disk at once, while the next ones are still being hashed.
_PORTION = 2 * 1024 * 1024
SHARDS = frozenset(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A durable file: the sha256 (hex) and size (bytes) of its content; `new` unless it was there before."""

    sha256: str
    size_bytes: int
    new: bool


def part10_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, *, receiving_ae_title: str = ""
) -> bytes:
    """Return preamble, prefix and file meta information (PS3.10 section 7.1) for a received dataset.

    receiving_ae_title: given only for an earlier study, so that the file itself says that it is one.
    """
    elements = b"".join(
        (
            struct.pack("<HH2sHI", 2, 0x0001, b"OB", 0, 2) + b"\x00\x01",
            _uid_element(0x0002, sop_class_uid),
            _uid_element(0x0003, sop_instance_uid),
            _uid_element(0x0010, transfer_syntax_uid),
            _uid_element(0x0012, IMPLEMENTATION_CLASS_UID),
            struct.pack("<HH2sH", 2, 0x0013, b"SH", 10) + IMPLEMENTATION_VERSION_NAME.encode(),
            _receiver_element(receiving_ae_title),
        )
    )
    return _PREFIX + struct.pack("<HH2sHI", 2, 0x0000, b"UL", 4, len(elements)) + elements


def _uid_element(element: int, uid: str) -> bytes:
    value = uid.encode("ascii", errors="replace")[:64]
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value


def _receiver_element(ae_title: str) -> bytes:
    value = ae_title.encode("ascii", errors="replace")
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", 2, 0x0018, b"AE", len(value)) + value if value else b""


class InstanceStore:
    """A folder of content-addressed files, with the quarantine and unfinished files beside them.

    Layout: `<path>/<first two digits>/<sha256>.dcm`, `<path>/quarantine/<sha256>.dcm`, `<path>/incoming/`.
    A folder of two digits is made with the first file that belongs in it.
    """

    def __init__(self, path: Path, min_free_mb: float) -> None:
        self.path = path
        self._min_free = int(min_free_mb * 1_000_000)
        self._incoming = path / "incoming"
        self._quarantine = path / "quarantine"
        for folder in (self._incoming, self._quarantine):
            folder.mkdir(parents=True, exist_ok=True)
        # Those that are there, perhaps made by another process, are durable after this.
        self._durable = {self._incoming, self._quarantine, *self._shards()}
        _flush_folder(path)

    def check_space(self, size_bytes: int = 0) -> None:
        """Raise StorageFull unless the reserve stays free after `size_bytes` more."""
        status = os.statvfs(self.path)
        if status.f_bavail * status.f_frsize - size_bytes < self._min_free:
            raise StorageFull("the disk of `storage.path` is nearly full: free space, senders will retry")

    def put(self, pieces: Sequence[bytes | memoryview]) -> StoredFile:
        """Store an object durably.

        Raises:
            StorageFull: the reserve would be touched, or the disk is full; nothing is left behind.
        """
        return self._put(pieces, None)

    def quarantine(self, pieces: Sequence[bytes | memoryview]) -> StoredFile:
        """Store bytes that are not a usable instance just as durably, outside the files that are drafted.

        Raises:
            StorageFull: the reserve would be touched, or the disk is full; nothing is left behind.
        """
        return self._put(pieces, self._quarantine)

    def open(self, sha256: str) -> Path:
        """Return the path of an object's file; the reader checks whether it still exists."""
        return self.path / sha256[:2] / f"{sha256}.dcm"

    def open_quarantined(self, sha256: str) -> Path:
        """Return the path of quarantined bytes."""
        return self._quarantine / f"{sha256}.dcm"

    def discard(self, sha256: str) -> None:
        """Remove an object that is not to be kept."""
        self.open(sha256).unlink(missing_ok=True)

    def discard_quarantined(self, sha256: str) -> None:
        """Remove quarantined bytes that are not to be kept."""
        self.open_quarantined(sha256).unlink(missing_ok=True)

    def move_to_quarantine(self, sha256: str) -> None:
        """Take an object out of the store, durably, because it is not a usable instance."""
        os.replace(self.open(sha256), self.open_quarantined(sha256))
        _flush_folder(self._quarantine)
        _flush_folder(self.open(sha256).parent)

    def files(self, changed_since: float = 0.0) -> Iterator[str]:
        """Yield the sha256 of each file in a folder to which a file was added since `changed_since`
        (epoch seconds).
        """
        for folder in self._shards():
            if folder.stat().st_mtime < changed_since:
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".dcm") and entry.stat().st_mtime >= changed_since:
                        yield entry.name.removesuffix(".dcm")

    def _shards(self) -> list[Path]:
        return sorted(self.path / name for name in os.listdir(self.path) if name in SHARDS)

    def remove_unfinished(self, older_than_s: float, now: float) -> int:
        """Remove files that a crash left in `incoming`; they were never acknowledged. Returns their
        number."""
        removed = 0
        for leftover in self._incoming.iterdir():
            try:
                if leftover.stat().st_mtime <= now - older_than_s:
                    leftover.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # its writer has just finished
        return removed

    def _put(self, pieces: Sequence[bytes | memoryview], folder: Path | None) -> StoredFile:
        size = sum(len(piece) for piece in pieces)
        self.check_space(size)
        digest = hashlib.sha256()
        temporary = self._incoming / uuid.uuid4().hex
        try:
            _write_durably(temporary, _hashed(pieces, digest))
            sha256 = digest.hexdigest()
            final = folder / f"{sha256}.dcm" if folder else self.open(sha256)
            self._keep_folder(final.parent)
            new = not final.exists()
            failpoint("store.before-rename")
            if new:
                os.replace(temporary, final)
            else:
                temporary.unlink()
            failpoint("store.before-folder-flush")
            # Also for a repetition: the folder of the first one may not have reached the disk yet.
            _flush_folder(final.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageFull("an object cannot be written: check the disk of `storage.path`") from error
        return StoredFile(sha256=sha256, size_bytes=size, new=new)

    def _keep_folder(self, folder: Path) -> None:
        """Make a folder and its name durable, even if another process has just made it."""
        if folder not in self._durable:
            folder.mkdir(exist_ok=True)
            _flush_folder(self.path)
            self._durable.add(folder)


def _hashed(pieces: Iterable[bytes | memoryview], digest: hashlib._Hash) -> Iterator[memoryview]:
    for piece in pieces:
        whole = memoryview(piece)
        for at in range(0, len(whole), _PORTION):
            portion = whole[at : at + _PORTION]
            digest.update(portion)
            yield portion


def _write_durably(path: Path, pieces: Iterable[memoryview]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if len(piece) == _PORTION:
                # This hint makes Linux start writing back, without waiting for it.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.fsync(descriptor)
        # It is not read again soon: the page cache is better used for incoming objects.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
