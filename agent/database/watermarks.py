"""How far the data of other systems has been read: one row for each source."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.database.base import Base


class Watermark(Base):
    """The last thing read from a source, in the source's own terms."""

    __tablename__ = "watermarks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]


def read_watermark(session: Session, name: str) -> str:
    """Return how far a source has been read; empty if it never was."""
    row = session.get(Watermark, name)
    return "" if row is None else row.value


def write_watermark(session: Session, name: str, value: str, now: datetime) -> None:
    """Store how far a source has been read."""
    session.merge(Watermark(name=name, value=value, updated_at=now))
