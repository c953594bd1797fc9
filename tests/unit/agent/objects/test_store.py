"""Rules of the instance store."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from agent.foundation.errors import StorageFull
from agent.objects.store import InstanceStore


@pytest.fixture
def store(tmp_path: Path) -> InstanceStore:
    """A store without a reserve."""
    return InstanceStore(tmp_path / "instances", 0)


def test_put_names_a_file_by_its_content(store: InstanceStore) -> None:
    """The sha256 of the joined pieces is the name, and the file contains exactly those bytes."""
    stored = store.put((b"head", memoryview(b"dataset")))
    assert stored.sha256 == hashlib.sha256(b"headdataset").hexdigest()
    assert (stored.size_bytes, stored.new) == (11, True)
    assert store.open(stored.sha256).read_bytes() == b"headdataset"
    assert list((store.path / "incoming").iterdir()) == []


def test_put_of_the_same_bytes_keeps_one_file(store: InstanceStore) -> None:
    """A repeat finds the first file and reports that it is not new."""
    first, second = store.put((b"same",)), store.put((b"same",))
    assert (first.sha256, first.new, second.new) == (second.sha256, True, False)
    assert list(store.files()) == [first.sha256]


def test_put_flushes_file_and_folder_before_it_returns(
    store: InstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is flushed, renamed and its folder flushed; that folder is durable itself by then, even if
    another process made it.
    """
    steps: list[str] = []
    flush, replace = os.fsync, os.replace

    def record_flush(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        steps.append(f"flush {path.name if path.is_dir() else path.parent.name}")
        flush(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_flush)
    monkeypatch.setattr(os, "replace", record_replace)
    first = store.put((b"x",))
    shard = store.open(first.sha256).parent
    assert steps == ["flush incoming", f"flush {store.path.name}", "rename", f"flush {shard.name}"]
    store.discard(first.sha256)
    steps.clear()
    store.put((b"x",))
    assert steps == ["flush incoming", "rename", f"flush {shard.name}"]
    shard.rename(store.path / "away")
    other = InstanceStore(store.path, 0)
    (store.path / "away").rename(shard)
    steps.clear()
    other.put((b"x",))
    assert steps[:2] == ["flush incoming", f"flush {store.path.name}"]


def test_put_refuses_to_touch_the_reserve(store: InstanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below `min_free_mb` nothing is written and the sender is asked to retry."""
    usage = namedtuple("usage", "f_bavail f_frsize")
    guarded = InstanceStore(store.path, 1)
    monkeypatch.setattr(os, "statvfs", lambda _path: usage(1_000_005, 1))
    guarded.put((b"fits",))
    with pytest.raises(StorageFull):
        guarded.put((b"too much",))
    assert list((store.path / "incoming").iterdir()) == []


def test_put_cleans_up_when_the_disk_fills(store: InstanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk error in the middle of a file leaves nothing behind."""

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull):
        store.put((b"x",))
    assert list((store.path / "incoming").iterdir()) == []


def test_quarantine_lies_beside_the_store(store: InstanceStore) -> None:
    """Quarantined bytes are kept, and are not instances."""
    kept = store.quarantine((b"bad",))
    assert store.open_quarantined(kept.sha256).read_bytes() == b"bad"
    assert list(store.files()) == []


def test_files_since_a_time_leaves_out_older_ones(store: InstanceStore) -> None:
    """Only files that changed since then are listed."""
    old, new = store.put((b"old",)), store.put((b"new",))
    yesterday = time.time() - 86400
    for path in (store.open(old.sha256), store.open(old.sha256).parent):
        os.utime(path, (yesterday, yesterday))
    assert list(store.files(time.time() - 3600)) == [new.sha256]


def test_remove_unfinished_spares_what_is_being_written(store: InstanceStore) -> None:
    """Only left-overs older than the limit are removed."""
    leftovers = [store.path / "incoming" / name for name in ("old", "young")]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    os.utime(leftovers[0], (0, 0))
    assert store.remove_unfinished(3600, time.time()) == 1
    assert [leftover.exists() for leftover in leftovers] == [False, True]


def test_move_to_quarantine_and_discard_take_a_file_out(store: InstanceStore) -> None:
    """In both cases the store no longer lists it."""
    bad, unwanted = store.put((b"bad",)), store.put((b"unwanted",))
    store.move_to_quarantine(bad.sha256)
    store.discard(unwanted.sha256)
    assert list(store.files()) == []
    assert store.open_quarantined(bad.sha256).exists()


def test_put_into_a_lost_folder_is_a_full_store(store: InstanceStore) -> None:
    """When the store's disk is missing, senders are asked to retry."""
    shutil.rmtree(store.path / "incoming")
    with pytest.raises(StorageFull):
        store.put((b"x",))
