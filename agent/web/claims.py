"""Claims: a lease says who is reading a study, so that no two radiologists read the same one unknowingly.

The holder's actions on the page renew a claim (`renew`); a claim that is not renewed ends with its lease.
Another person gets it only by taking it over from the holder that the page named.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.database.audit import web_actor as audit
from agent.database.audit.web_actor import Actor
from agent.database.session import Database, database_now
from agent.database.tables import ReadingClaim, Study
from agent.foundation.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A person who claims: `holder` identifies the reader, `name` is shown to others."""

    holder: str
    name: str
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyClaim:
    """The claim of a study: by whom, since when, and until when unless renewed."""

    study_id: int
    holder: str
    name: str
    since: datetime
    until: datetime


def claim(database: Database, study_id: int, reader: Reader, minutes: float, *, over: str = "") -> StudyClaim:
    """Claim a study, and return the claim that is now valid: the reader's, or an earlier one of another
    person.

    over: the holder from whom the reader takes over; a claim by anybody else remains.

    Raises:
        NotFound: there is no such study.
        DatabaseUnavailable: the database does not answer.
    """
    with database.transaction() as session:
        if session.get(Study, study_id) is None:
            raise NotFound("there is no such study")
        now = database_now(session)
        before = claim_of(session, study_id, now)
        _write(session, study_id, reader, over, now, now + timedelta(minutes=minutes))
        standing = claim_of(session, study_id, now)
        if standing is None:
            raise NotFound("there is no such study")
        if standing.holder == reader.holder and (before is None or before.holder != reader.holder):
            action = "claim" if before is None else "claim-taken-over"
            audit.add_action(session, reader.actor, action, study_id=study_id)
        return standing


def _write(
    session: Session, study_id: int, reader: Reader, over: str, now: datetime, until: datetime
) -> None:
    values = {"holder": reader.holder, "name": reader.name[:128], "claimed_at": now, "lease_until": until}
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(ReadingClaim) if on_sqlite else postgresql.insert(ReadingClaim)
    free = or_(ReadingClaim.lease_until <= now, ReadingClaim.holder == over)
    session.execute(delete(ReadingClaim).where(ReadingClaim.lease_until <= now))
    session.execute(
        insert.values(study_id=study_id, **values).on_conflict_do_update(
            index_elements=["study_id"], set_=values, where=free
        )
    )
    _extend(session, study_id, reader.holder, now, until)


def renew(database: Database, study_id: int, holder: str, minutes: float) -> None:
    """Extend the lease of the holder's own claim; a claim that has ended stays ended."""
    with database.transaction() as session:
        now = database_now(session)
        _extend(session, study_id, holder, now, now + timedelta(minutes=minutes))


def _extend(session: Session, study_id: int, holder: str, now: datetime, until: datetime) -> None:
    mine = (ReadingClaim.study_id == study_id, ReadingClaim.holder == holder, ReadingClaim.lease_until > now)
    session.execute(update(ReadingClaim).where(*mine).values(lease_until=until))


def release(database: Database, reader: Reader, study_id: int) -> None:
    """End the reader's claim of a study, if there is one."""
    with database.transaction() as session:
        mine = (ReadingClaim.study_id == study_id, ReadingClaim.holder == reader.holder)
        ended = session.execute(delete(ReadingClaim).where(*mine).returning(ReadingClaim.study_id)).first()
        if ended is not None:
            audit.add_action(session, reader.actor, "claim-released", study_id=study_id)


def release_all(database: Database, reader: Reader) -> None:
    """End all claims of a reader who signs out."""
    with database.transaction() as session:
        mine = delete(ReadingClaim).where(ReadingClaim.holder == reader.holder)
        for study_id in session.scalars(mine.returning(ReadingClaim.study_id)).all():
            audit.add_action(session, reader.actor, "claim-released", study_id=study_id)


def read_claim(database: Database, study_id: int) -> StudyClaim | None:
    """Return the claim of a study; None if nobody is reading it."""
    with database.reading() as session:
        return claim_of(session, study_id, database_now(session))


def claim_of(session: Session, study_id: int, now: datetime) -> StudyClaim | None:
    """Return the claim of a study; None if nobody is reading it."""
    return claims_of(session, [study_id], now).get(study_id)


def claims_of(session: Session, study_ids: Collection[int], now: datetime) -> dict[int, StudyClaim]:
    """Return the claims of these studies whose leases have not ended."""
    rows = session.scalars(
        select(ReadingClaim).where(ReadingClaim.study_id.in_(study_ids), ReadingClaim.lease_until > now)
    )
    return {
        row.study_id: StudyClaim(
            study_id=row.study_id,
            holder=row.holder,
            name=row.name,
            since=row.claimed_at,
            until=row.lease_until,
        )
        for row in rows
    }


def all_holders(session: Session, now: datetime) -> tuple[tuple[int, str], ...]:
    """Return all claims in a form in which they can be compared."""
    rows = session.execute(
        select(ReadingClaim.study_id, ReadingClaim.holder)
        .where(ReadingClaim.lease_until > now)
        .order_by(ReadingClaim.study_id)
    )
    return tuple((study_id, holder) for study_id, holder in rows)
