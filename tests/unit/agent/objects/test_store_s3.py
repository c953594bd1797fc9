"""Rules of the store in a bucket, with fsspec's in-memory file system."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from agent.foundation.errors import StorageFull, StoreUnavailable
from agent.foundation.settings.tree import StorageSettings
from agent.objects.store_s3 import RemoteStore, open_remote

ROOT = "/bucket/echo"


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    """An empty bucket."""
    filesystem = MemoryFileSystem()
    MemoryFileSystem.store.clear()
    yield filesystem
    MemoryFileSystem.store.clear()


@pytest.fixture
def here(bucket: MemoryFileSystem, tmp_path: Path) -> RemoteStore:
    """One machine's store."""
    return RemoteStore(tmp_path / "here", 0, bucket, ROOT, cache_mb=1000)


@pytest.fixture
def there(bucket: MemoryFileSystem, tmp_path: Path) -> RemoteStore:
    """The same store on another machine."""
    return RemoteStore(tmp_path / "there", 0, bucket, ROOT, cache_mb=1000)


def test_put_is_in_the_bucket_under_the_sha256(here: RemoteStore, bucket: MemoryFileSystem) -> None:
    """When `put` returns, the bucket has exactly these bytes under their digest."""
    stored = here.put((b"head", memoryview(b"dataset")))
    assert stored.sha256 == hashlib.sha256(b"headdataset").hexdigest()
    assert (stored.size_bytes, stored.new) == (11, True)
    assert bucket.cat_file(f"{ROOT}/{stored.sha256[:2]}/{stored.sha256}.dcm") == b"headdataset"


def test_object_of_another_machine_is_fetched(here: RemoteStore, there: RemoteStore) -> None:
    """Any machine that opens it gets a file, the first time and the second."""
    stored = here.put((b"x",))
    assert there.open(stored.sha256).read_bytes() == b"x"
    assert there.open(stored.sha256).read_bytes() == b"x"
    assert list(there.files()) == [stored.sha256]


def test_put_of_the_same_bytes_is_not_new_on_any_machine(here: RemoteStore, there: RemoteStore) -> None:
    """The bucket determines what is new, not the folder."""
    assert [here.put((b"x",)).new, here.put((b"x",)).new, there.put((b"x",)).new] == [True, False, False]


def test_put_again_repairs_what_the_bucket_lost(here: RemoteStore, bucket: MemoryFileSystem) -> None:
    """A file that is here but not in the bucket does not count as stored."""
    stored = here.put((b"x",))
    bucket.rm_file(f"{ROOT}/{stored.sha256[:2]}/{stored.sha256}.dcm")
    assert here.put((b"x",)).new
    assert list(here.files()) == [stored.sha256]


@pytest.mark.parametrize("kept", [b"", b"other bytes!", b"too short"])
def test_put_that_the_bucket_does_not_keep_is_no_success(
    here: RemoteStore, bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, kept: bytes
) -> None:
    """If the bucket reports success but has other bytes, the sender is asked to retry."""

    def lie(_local: str, key: str) -> None:
        bucket.pipe_file(key, kept)

    monkeypatch.setattr(bucket, "put_file", lie)
    with pytest.raises(StoreUnavailable):
        here.put((b"these bytes!",))


def test_bucket_that_does_not_answer_asks_senders_to_retry(
    here: RemoteStore, bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any error of the client becomes one retryable error, which the listener answers like a full disk."""

    def down(*_arguments: Any, **_named: Any) -> None:
        raise ConnectionError("CANARY")

    for name in ("info", "put_file", "get_file", "find", "rm_file"):
        monkeypatch.setattr(bucket, name, down)
    for act in (
        lambda: here.put((b"x",)),
        lambda: here.open("0" * 64),
        lambda: list(here.files()),
        lambda: here.discard("0" * 64),
    ):
        with pytest.raises(StorageFull) as caught:
            act()
        assert (caught.value.code, caught.value.retryable) == ("store-unavailable", True)
        assert "CANARY" not in str(caught.value)


def test_damaged_object_is_never_opened(
    here: RemoteStore, there: RemoteStore, bucket: MemoryFileSystem
) -> None:
    """A fetched file is verified against its name."""
    stored = here.put((b"x",))
    bucket.pipe_file(f"{ROOT}/{stored.sha256[:2]}/{stored.sha256}.dcm", b"y")
    with pytest.raises(StoreUnavailable):
        there.open(stored.sha256)
    assert list((there.path / "incoming").iterdir()) == []


def test_object_that_is_nowhere_is_an_absent_file(here: RemoteStore) -> None:
    """As in a folder, the reader checks whether it exists."""
    assert not here.open("0" * 64).exists()


def test_quarantine_and_discard_take_an_object_out(here: RemoteStore, there: RemoteStore) -> None:
    """In both cases the store no longer lists it, on any machine."""
    bad, unwanted, kept = there.put((b"bad",)), there.put((b"unwanted",)), here.quarantine((b"kept",))
    here.move_to_quarantine(bad.sha256)
    here.discard(unwanted.sha256)
    assert list(there.files()) == []
    assert there.open_quarantined(bad.sha256).read_bytes() == b"bad"
    there.discard_quarantined(kept.sha256)
    there.discard_quarantined(kept.sha256)
    assert not (there.path / "quarantine" / f"{kept.sha256}.dcm").exists()


def test_files_since_a_time_leaves_out_older_ones(here: RemoteStore) -> None:
    """Only objects that arrived since then are listed."""
    stored = here.put((b"x",))
    assert list(here.files(time.time() - 3600)) == [stored.sha256]
    assert list(here.files(time.time() + 3600)) == []


def test_cache_lets_go_of_what_was_not_used_for_long(bucket: MemoryFileSystem, tmp_path: Path) -> None:
    """The folder stays within its limit; a file that it drops is fetched again."""
    store = RemoteStore(tmp_path / "here", 0, bucket, ROOT, cache_mb=0.003)
    old = store.put((b"o" * 1500,))
    long_ago = time.time() - 7200
    os.utime(store.path / old.sha256[:2] / f"{old.sha256}.dcm", (long_ago, long_ago))
    young = [store.put((bytes([number]) * 1500,)) for number in range(2)]
    here = {path.stem for path in store.path.glob("??/*.dcm")}
    assert here == {one.sha256 for one in young}
    assert store.open(old.sha256).read_bytes() == b"o" * 1500


def test_url_chooses_the_store(tmp_path: Path) -> None:
    """A file URL is a directory; an S3 URL is opened through its client, at the given endpoint."""
    assert StorageSettings(url=f"file://{tmp_path}") == StorageSettings(path=tmp_path)
    opened = open_remote("s3://bucket/prefix", tmp_path, 0, endpoint_url="http://127.0.0.1:1", cache_mb=1)
    assert (opened._root, opened._remote.endpoint_url) == ("bucket/prefix", "http://127.0.0.1:1")
    with pytest.raises(ValueError, match="two directories"):
        StorageSettings(path=tmp_path, url="file:///elsewhere")
