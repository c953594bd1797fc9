"""Signed reports for tests of shadow mode."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.database.session import Database, database_now
from agent.database.signed_text import SignedText, Source
from agent.shadow.comparing import compare_due
from agent.shadow.signed import enter


def sign(database: Database, uid: str, text: str, *, source: Source = "csv", status: str = "F") -> None:
    """Enter a study's signed report and compare what can be compared."""
    signed = SignedText(
        source=source,
        key=f"{uid}|{text}|{status}",
        text=text,
        signed_at=datetime(2026, 11, 1, tzinfo=UTC),
        study_instance_uid=uid,
        status=status,
    )
    with database.transaction() as session:
        enter(session, signed, database_now(session))
    compare_due(database)
