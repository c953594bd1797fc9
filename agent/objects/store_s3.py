"""The store shared by several machines: objects in an S3-compatible bucket, with a local folder for those in
use.

An object goes into the folder first, as durably as in the file store, then into the bucket; `put` returns
when the bucket has confirmed that it holds those bytes. The folder is both spool and cache: an object that
another machine has stored is fetched into it when it is opened, and files that have not been used for a long
time are evicted. In both places an object's name is the sha256 of its content, so that a fetched one can be
checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from agent.foundation.errors import SettingsError, StorageFull, StoreUnavailable
from agent.objects.store import SHARDS, InstanceStore, StoredFile

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

# A file that was used within this time (s) may be in use: it is not evicted.
IN_USE_S = 600.0
# The share of the cache that is still used after an eviction.
FILLED = 0.9
# The names that file systems use for an object's modification time.
_MOMENTS = ("LastModified", "created", "mtime")


class RemoteStore(InstanceStore):
    """Objects below `root` of a file system that several machines share; `path` is this machine's folder.

    cache_mb: what the folder may hold, in MB.
    """

    def __init__(
        self, path: Path, min_free_mb: float, filesystem: AbstractFileSystem, root: str, *, cache_mb: float
    ) -> None:
        super().__init__(path, min_free_mb)
        self._remote, self._root = filesystem, root.rstrip("/")
        self._cache_bytes = int(cache_mb * 1_000_000)
        self._added: int | None = None

    def check_space(self, size_bytes: int = 0) -> None:
        """Raise StorageFull unless the reserve stays free, evicting cached files if necessary."""
        try:
            super().check_space(size_bytes)
        except StorageFull:
            self._evict(0)
            super().check_space(size_bytes)

    def open(self, sha256: str) -> Path:
        """Return the path of an object's file, fetched from the bucket if need be; absent if it is not there.

        Raises:
            StoreUnavailable: the bucket does not answer, or holds other bytes under this name.
        """
        return self._fetched(super().open(sha256))

    def open_quarantined(self, sha256: str) -> Path:
        """Return the path of quarantined bytes, in the same way.

        Raises:
            StoreUnavailable: the bucket does not answer, or holds other bytes under this name.
        """
        return self._fetched(super().open_quarantined(sha256))

    def discard(self, sha256: str) -> None:
        """Remove an object that is not to be kept, from the bucket and the local folder.

        Raises:
            StoreUnavailable: the bucket does not answer.
        """
        self._discard(super().open(sha256))

    def discard_quarantined(self, sha256: str) -> None:
        """Remove quarantined bytes, in the same way.

        Raises:
            StoreUnavailable: the bucket does not answer.
        """
        self._discard(super().open_quarantined(sha256))

    def move_to_quarantine(self, sha256: str) -> None:
        """Take an object out of the store, because it is not a usable instance.

        Raises:
            StoreUnavailable: the bucket does not answer; the object is in one place or in both.
        """
        source, target = self.open(sha256), super().open_quarantined(sha256)
        os.replace(source, target)
        self._upload(target)
        self._discard(source)

    def probe(self) -> None:
        """Write, read and delete a small object next to the stored ones.

        Raises:
            StoreUnavailable: one of the three failed, or other bytes came back.
        """
        key, content = f"{self._root}/probe/{uuid.uuid4().hex}", os.urandom(64)
        with _answering():
            self._remote.pipe_file(key, content)
        with _answering():
            read = self._remote.cat_file(key)
        with _answering():
            self._remote.rm_file(key)
        if read != content:
            raise StoreUnavailable("the bucket of `storage.url` returned other bytes than were written")

    def files(self, changed_since: float = 0.0) -> Iterator[str]:
        """Yield the sha256 of each object that was added to the bucket since `changed_since` (epoch seconds).

        Raises:
            StoreUnavailable: the bucket does not answer.
        """
        for shard in self._remote_shards():
            with _answering():
                try:
                    found: dict[str, Any] = self._remote.find(f"{self._root}/{shard}", detail=True)
                except FileNotFoundError:  # another machine has just removed the last one
                    continue
            for key, entry in found.items():
                if key.endswith(".dcm") and _changed(entry) >= changed_since:
                    yield key.rpartition("/")[2].removesuffix(".dcm")

    def _remote_shards(self) -> list[str]:
        with _answering():
            try:
                found = self._remote.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(SHARDS & {name.rstrip("/").rpartition("/")[2] for name in found})

    def _put(self, pieces: Sequence[bytes | memoryview], folder: Path | None) -> StoredFile:
        stored = super()._put(pieces, folder)
        local = super().open(stored.sha256) if folder is None else folder / f"{stored.sha256}.dcm"
        new = self._upload(local)
        self._make_room(stored.size_bytes)
        return dataclasses.replace(stored, new=new)

    def _key(self, local: Path) -> str:
        return f"{self._root}/{local.relative_to(self.path).as_posix()}"

    def _upload(self, local: Path) -> bool:
        """Upload a file and confirm that the bucket has it; return whether it was new."""
        key, size = self._key(local), local.stat().st_size
        with _answering():
            if self._holds(key, local, size):
                return False
            self._remote.put_file(str(local), key)
            kept = self._holds(key, local, size)
        if not kept:
            raise StoreUnavailable("the bucket of `storage.url` did not keep an object; it is sent again")
        return True

    def _holds(self, key: str, local: Path, size: int) -> bool:
        """Whether the bucket has these bytes: by size and MD5, or, if it reports no MD5, by reading them."""
        try:
            entry = self._remote.info(key)
        except FileNotFoundError:
            return False
        if entry["size"] != size:
            return False
        content = local.read_bytes()
        if str(entry.get("ETag", "")).strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest():
            return True
        return bool(self._remote.cat_file(key) == content)

    def _fetched(self, local: Path) -> Path:
        try:
            os.utime(local)
        except FileNotFoundError:
            self._fetch(local)
        return local

    def _fetch(self, local: Path) -> None:
        temporary = self._incoming / uuid.uuid4().hex
        try:
            with _answering():
                try:
                    self._remote.get_file(self._key(local), str(temporary))
                except FileNotFoundError:
                    return
            with temporary.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != local.stem:
                    raise StoreUnavailable(
                        "the bucket of `storage.url` holds a damaged object: restore it there"
                    )
                os.fsync(file.fileno())
            self._keep_folder(local.parent)
            os.replace(temporary, local)
        finally:
            temporary.unlink(missing_ok=True)
        self._make_room(local.stat().st_size)

    def _discard(self, local: Path) -> None:
        with _answering(), suppress(FileNotFoundError):
            self._remote.rm_file(self._key(local))
        local.unlink(missing_ok=True)

    # ---- the cache ----

    def _make_room(self, size: int) -> None:
        """Count the new bytes; scan the folder once up to a tenth of the cache may be new."""
        if self._added is not None:
            self._added += size
            if self._added < (1 - FILLED) * self._cache_bytes:
                return
        self._added = 0
        self._evict(self._cache_bytes)

    def _evict(self, most: int) -> None:
        """Remove the least recently used files until `most` bytes are left."""
        found = []
        for folder in (self._quarantine, *self._shards()):
            with os.scandir(folder) as entries:
                found += [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries]
        total = sum(size for _moment, size, _path in found)
        if total <= most:
            return
        for moment, size, path in sorted(found):
            if total <= FILLED * most or moment > time() - IN_USE_S:
                return
            Path(path).unlink(missing_ok=True)
            total -= size


def open_remote(
    url: str, path: Path, min_free_mb: float, *, endpoint_url: str | None, cache_mb: float
) -> RemoteStore:
    """Open the store at an fsspec URL such as s3://bucket/prefix; nothing is sent to it yet.

    Credentials come from the client's usual sources: the environment, or the service user's files.

    Raises:
        SettingsError: the client is not installed.
    """
    if find_spec("s3fs") is None:
        raise SettingsError("`storage.url` needs the client of S3: install the service with `EXTRAS=s3`")
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if url.startswith("s3://") and endpoint_url is not None:
        options["endpoint_url"] = endpoint_url
    from fsspec.core import url_to_fs

    filesystem, root = url_to_fs(url, **options)
    return RemoteStore(path, min_free_mb, filesystem, root, cache_mb=cache_mb)


def _changed(entry: dict[str, Any]) -> float:
    moment = next((entry[name] for name in _MOMENTS if name in entry), time())
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


@contextmanager
def _answering() -> Iterator[None]:
    """Any exception of the client or its transport means that the operation failed."""
    try:
        yield
    # The outermost handler for the client, whose exceptions have no common root: s3fs, botocore and aiohttp
    # each have their own tree.
    except Exception as error:
        raise StoreUnavailable(
            f"the bucket of `storage.url` does not answer ({type(error).__name__}): senders will retry"
        ) from error
