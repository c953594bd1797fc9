"""What an operator's commands need, for tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from agent.database.session import Database
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue.operator import OperatorContext


@cache
def no_images() -> InstanceStore:
    """A store that stays empty, one for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="echo-agent-no-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return InstanceStore(folder, 0)


def operator_context_of(
    database: Database, store: InstanceStore | None = None, settings: Settings | None = None
) -> OperatorContext:
    """The context of a database; without a store there are no images to judge."""
    return OperatorContext(
        database=database,
        store=store or no_images(),
        settings=settings or Settings(),
    )
