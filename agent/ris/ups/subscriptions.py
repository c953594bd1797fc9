"""Subscriptions: which AE titles watch which workitems.

A subscription is to one workitem, or by a well-known UID to all present and future ones, with or without a
filter. A suspended one continues for the existing workitems and takes no new ones.

Source: PS3.4 CC.2.3 (subscribe, unsubscribe, suspend global subscription).
"""

from __future__ import annotations

from datetime import datetime

from pydicom import Dataset
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.database.workitems import Subscription, Workitem
from agent.ris.ups.matching import keys_of, matches
from agent.ris.ups.records import as_dataset, as_json
from agent.ris.ups.terms import FILTERED_SUBSCRIPTION, GLOBAL_SUBSCRIPTION

GLOBAL = frozenset({str(GLOBAL_SUBSCRIPTION), str(FILTERED_SUBSCRIPTION)})
# Each event names its receivers, and every subscription is matched against it.
MOST_SUBSCRIBERS = 500
MOST_SUBSCRIPTIONS = 10_000  # for one AE title


def subscribe(
    session: Session,
    ae_title: str,
    uid: str,
    *,
    now: datetime,
    deletion_lock: bool = False,
    keys: Dataset | None = None,
) -> None:
    """Subscribe an AE title to a workitem, or to all of them; a repeated request replaces lock and filter."""
    row = _row(session, ae_title, uid)
    if row is None:
        row = Subscription(ae_title=ae_title, uid=uid, created_at=now)
        session.add(row)
    row.wanted, row.deletion_lock, row.last_workitem_id = True, deletion_lock, None
    row.filter = as_json(keys) if keys is not None and len(keys) else None
    session.flush()


def has_room(session: Session, ae_title: str) -> bool:
    """Whether an AE title may subscribe once more: neither it nor all together have too many
    subscriptions.
    """
    own = select(func.count()).select_from(Subscription).where(Subscription.ae_title == ae_title)
    count = session.scalar(own) or 0
    if count:
        return count < MOST_SUBSCRIPTIONS
    others = session.scalar(select(func.count(func.distinct(Subscription.ae_title)))) or 0
    return others < MOST_SUBSCRIBERS


def unsubscribe(session: Session, ae_title: str, uid: str, *, now: datetime) -> None:
    """End a subscription; ending a global one ends those to single workitems too."""
    if uid in GLOBAL:
        session.execute(delete(Subscription).where(Subscription.ae_title == ae_title))
        return
    row = _row(session, ae_title, uid)
    if row is not None:
        row.wanted, row.deletion_lock = False, False
    elif any(_row(session, ae_title, one) is not None for one in GLOBAL):
        session.add(Subscription(ae_title=ae_title, uid=uid, wanted=False, created_at=now))
    session.flush()


def suspend(session: Session, ae_title: str, uid: str) -> bool:
    """Suspend a global subscription; False if there is none."""
    row = _row(session, ae_title, uid)
    if row is None:
        return False
    if row.last_workitem_id is None:
        row.last_workitem_id = session.scalar(select(func.max(Workitem.id))) or 0
    session.flush()
    return True


def receivers(session: Session, workitem: Workitem) -> list[str]:
    """Return the AE titles that receive a workitem's events."""
    rows = session.scalars(select(Subscription).where(Subscription.uid.in_([workitem.uid, *GLOBAL]))).all()
    single = {row.ae_title: row.wanted for row in rows if row.uid == workitem.uid}
    found = {ae_title for ae_title, wanted in single.items() if wanted}
    for row in rows:
        if row.uid not in GLOBAL or single.get(row.ae_title) is False or row.ae_title in found:
            continue
        if row.last_workitem_id is not None and workitem.id > row.last_workitem_id:
            continue
        if row.filter is not None and not matches(workitem.content, keys_of(as_dataset(row.filter))):
            continue
        found.add(row.ae_title)
    return sorted(found)


def is_locked(session: Session, workitem: Workitem) -> bool:
    """Whether a subscriber holds a deletion lock on a workitem."""
    watching = receivers(session, workitem)
    locks = select(Subscription.ae_title).where(
        Subscription.uid.in_([workitem.uid, *GLOBAL]),
        Subscription.deletion_lock,
        Subscription.ae_title.in_(watching),
    )
    return bool(watching) and session.scalar(locks.limit(1)) is not None


def watchers(session: Session) -> list[str]:
    """Return every AE title that watches anything."""
    return sorted(set(session.scalars(select(Subscription.ae_title).where(Subscription.wanted))))


def _row(session: Session, ae_title: str, uid: str) -> Subscription | None:
    return session.scalar(
        select(Subscription)
        .where(Subscription.ae_title == ae_title, Subscription.uid == uid)
        .with_for_update()
    )
