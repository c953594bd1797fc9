"""The store in a bucket of a real S3 server on loopback, shared by two machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from agent.commands.doctor import CheckResult, examine
from agent.database.session import Database, open_engine
from agent.foundation.errors import StoreUnavailable
from agent.foundation.settings.tree import ListenerSettings, Settings, StorageSettings
from agent.objects.store_s3 import RemoteStore, open_remote

pytestmark = [
    pytest.mark.integration,
    # The client's own library still gets the time by a call that newer Python versions deprecate.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore.*"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a store in an empty bucket, with the credentials in the client's environment."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    s3fs.S3FileSystem(endpoint_url=server, skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/echo"


@pytest.fixture
def here(url: str, server: str, tmp_path: Path) -> RemoteStore:
    """The store as opened on one machine."""
    return open_remote(url, tmp_path / "here", 0, endpoint_url=server, cache_mb=100)


@pytest.fixture
def there(url: str, server: str, tmp_path: Path) -> RemoteStore:
    """The store as opened on another machine."""
    return open_remote(url, tmp_path / "there", 0, endpoint_url=server, cache_mb=100)


def test_object_stored_here_is_read_there(here: RemoteStore, there: RemoteStore) -> None:
    """Ten megabytes, checked by the server's MD5, arrive whole on the other machine."""
    content = bytes(range(256)) * 40_000
    stored = here.put((content[:100], memoryview(content)[100:]))
    assert (stored.sha256, stored.new) == (hashlib.sha256(content).hexdigest(), True)
    assert there.open(stored.sha256).read_bytes() == content
    assert list(there.files()) == [stored.sha256]
    assert not there.put((content,)).new


def test_quarantine_and_discard_reach_the_bucket(here: RemoteStore, there: RemoteStore) -> None:
    """What one machine removes from the store is removed for the other one too."""
    bad, unwanted = here.put((b"bad",)), here.put((b"unwanted",))
    here.move_to_quarantine(bad.sha256)
    here.discard(unwanted.sha256)
    here.discard(unwanted.sha256)
    assert list(there.files()) == []
    assert there.open_quarantined(bad.sha256).read_bytes() == b"bad"
    assert not there.open(unwanted.sha256).exists()


def test_bucket_that_is_not_there_keeps_nothing(server: str, url: str, tmp_path: Path) -> None:
    """With a missing bucket or a server that is down storing fails, so that the sender is asked to retry."""
    del url  # for the credentials
    for address in (server, "http://127.0.0.1:9"):
        store = open_remote("s3://nowhere/echo", tmp_path / "x", 0, endpoint_url=address, cache_mb=1)
        with pytest.raises(StoreUnavailable):
            store.put((b"x",))


@pytest.mark.parametrize(("bucket", "verdict"), [("", CheckResult.RIGHT), ("absent", CheckResult.WRONG)])
def test_doctor_writes_reads_and_deletes_an_object(
    url: str, server: str, tmp_path: Path, bucket: str, verdict: CheckResult
) -> None:
    """`doctor` leaves nothing in the bucket; a missing bucket is reported as wrong, with a remedy."""
    settings = Settings(
        storage=StorageSettings(
            path=tmp_path / "doctor",
            url=f"s3://{bucket}/echo" if bucket else url,
            endpoint_url=server,
            min_free_mb=0,
        ),
        listener=ListenerSettings(port=0),
    )
    checks = examine(settings, lambda: Database(open_engine("sqlite://")))
    found = next(one for one in checks if one.name == "bucket")
    assert found.verdict is verdict
    assert bool(found.remedy) is (verdict is CheckResult.WRONG)
    left = s3fs.S3FileSystem(endpoint_url=server, skip_instance_cache=True).find(url.removeprefix("s3://"))
    assert left == []
