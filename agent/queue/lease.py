"""Renewal of leases, for every table whose rows are claimed under one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import update

from agent.database.session import Database, database_now
from agent.database.tables import Delivery, Job


def prolong(
    database: Database, table: type[Job] | type[Delivery], tokens: Mapping[int, str], lease_s: float
) -> frozenset[int]:
    """Renew leases for `lease_s` from now; return the ids of rows whose lease is lost.

    tokens: the lease token under which each row was claimed. Rows are locked in order, so that two heartbeats
    cannot deadlock.
    """
    lost = set()
    with database.relaxed() as session:
        until = database_now(session) + timedelta(seconds=lease_s)
        for row_id, token in sorted(tokens.items()):
            changed = session.execute(
                update(table)
                .where(table.id == row_id, table.lease_token == token)
                .values(lease_until=until)
                .execution_options(synchronize_session=False)
            )
            if changed.rowcount != 1:  # type: ignore[attr-defined]
                lost.add(row_id)
    return frozenset(lost)
