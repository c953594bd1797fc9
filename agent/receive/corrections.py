"""Decides whether a study's images were only corrected: sent again with other attributes, but the same
picture.

An archive that corrects a name or an accession number keeps the SOP Instance UID. That is not a conflict: the
newest content counts, and a person need not decide. Two pictures under one UID are a conflict, because the
archive may show the one from which the draft was not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Instance
from agent.objects.same_image import other_picture
from agent.objects.store import InstanceStore


def only_corrected(database: Database, store: InstanceStore, study_id: int) -> bool:
    """Whether each image that arrived with several contents has the same picture in all of them.

    An earlier content that cannot be decoded has no picture; for one that was purged this is unknown.

    Raises:
        DatabaseUnavailable, StoreUnavailable: nothing is known.
        InstanceMissing: a file is gone.
    """
    return all(
        _agree(store.open(earlier), store.open(contents[-1]))
        for contents in _contents(database, study_id).values()
        for earlier in contents[:-1]
    )


def _agree(earlier: Path, newest: Path) -> bool:
    return earlier.exists() and not other_picture(earlier, newest)


def _contents(database: Database, study_id: int) -> Mapping[str, Sequence[str]]:
    """The digests of each SOP Instance of a study, in the order of arrival."""
    with database.reading() as session:
        rows = session.execute(
            select(Instance.sop_instance_uid, Instance.sha256)
            .where(Instance.study_id == study_id, Instance.prior.is_(False))
            .order_by(Instance.id)
        ).all()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.sop_instance_uid, []).append(row.sha256)
    return found
