"""Removes files whose rows are all marked purged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Instance
from agent.foundation.failpoints import failpoint


def erase(database: Database, discard: Callable[[str], None], sha256s: Sequence[str]) -> int:
    """Remove the files that no row needs; return their number.

    A file that several instances share is kept until all of them are purged. A file without a row is kept: it
    may be in the middle of being received.

    Args:
        discard: removes the file with this SHA-256 from the store.

    Raises:
        DatabaseUnavailable: the rest is removed at the next start.
    """
    removed = 0
    for sha256 in dict.fromkeys(sha256s):
        with database.transaction() as session:
            rows = session.scalars(
                select(Instance.purged_at).where(Instance.sha256 == sha256).with_for_update()
            ).all()
            if not rows or any(purged_at is None for purged_at in rows):
                continue
            discard(sha256)
            removed += 1
        failpoint("purge.after-file")
    return removed
