"""What an operator's commands work on, for tests."""

from __future__ import annotations

from pathlib import Path

from agent.database.session import Database
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue.operator import Bench


def bench_of(
    database: Database, store: InstanceStore | None = None, settings: Settings | None = None
) -> Bench:
    """The bench of a database; without a store there are no images to judge."""
    return Bench(
        database=database,
        store=store or InstanceStore(Path("there-is-no-such-store"), 0),
        settings=settings or Settings(),
    )
