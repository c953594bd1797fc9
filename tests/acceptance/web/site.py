"""A worklist served from a thread, with a database and a store of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.commands.demo.orthanc import free_ports
from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.foundation.settings.tree import DestinationSettings, Settings, WebSettings
from agent.objects.store import InstanceStore
from agent.web.app import create_app, serve
from tests.support.worklist import receive_film, write_draft

from .slow import slow_network

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A served worklist with a database of its own."""

    url: str
    database: Database
    store: InstanceStore
    settings: Settings

    def draft(self, uid: str, *, text: tuple[str, ...] = (), **attributes: object) -> int:
        """Receive a film and draft its study; return the study's row."""
        study_id = receive_film(self.database, self.store, self.settings, uid, **attributes)
        words = {"findings": text, "impression": text} if text else {}
        write_draft(self.database, self.store, self.settings, study_id, **words)
        return study_id


@contextmanager
def serving(folder: Path, **web: Any) -> Iterator[Site]:
    """Serve the worklist from a thread."""
    port = free_ports(1)[0]
    here = DestinationSettings(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS")
    settings = Settings(destinations=(here,), web=WebSettings(port=port, **web))
    database = Database(open_engine(f"sqlite:///{folder / 'agent.db'}"))
    migrate.upgrade(database)
    store = InstanceStore(folder / "instances", 0)
    stop, started = threading.Event(), threading.Event()
    app = create_app(settings, database, store)
    slow_network(app)
    thread = threading.Thread(target=serve, args=(app, settings, stop, started), name="site")
    thread.start()
    assert started.wait(60)
    yield Site(url=f"http://127.0.0.1:{port}", database=database, store=store, settings=settings)
    stop.set()
    thread.join(30)
    database.close()
