"""The engine: where the file of a SQLite database is."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from agent.database.session import open_engine, sqlite_file


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////var/lib/agent.db", Path("/var/lib/agent.db")),
        ("sqlite:///var/agent.db", Path("var/agent.db")),
        ("sqlite:///file:/var/lib/agent.db?mode=ro&uri=true", Path("/var/lib/agent.db")),
        ("sqlite:///file:///var/lib/agent.db?uri=true", Path("/var/lib/agent.db")),
        ("sqlite:///file:var/agent%2520one.db?uri=true", Path("var/agent one.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file::memory:?cache=shared&uri=true", None),
        ("sqlite:///file:shared?mode=memory&cache=shared&uri=true", None),
        ("postgresql://agent@127.0.0.1/agent", None),
    ],
)
def test_sqlite_file_is_found_in_every_form_of_url(url: str, file: Path | None) -> None:
    """A URI filename gives the same file as a path."""
    assert sqlite_file(make_url(url)) == file


def test_engine_of_a_uri_filename_makes_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is created where the file will be; nothing named `file:` is in the working directory."""
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///file:{tmp_path / 'data' / 'agent.db'}?uri=true")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (tmp_path / "data" / "agent.db").is_file()
