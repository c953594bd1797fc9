"""Receives a message: stores it and applies it in one transaction, and returns the answer.

A sender repeats a message when our answer was lost; the repetition gets the same answer and changes nothing.
No part of a message is logged, because it is about a patient.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.orders import Hl7Message
from agent.database.session import Database, database_now
from agent.foundation.errors import AgentError, DatabaseUnavailable, MessageRefused, MessageUnreadable
from agent.foundation.failpoints import failpoint
from agent.foundation.log import get_logger
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.acknowledge import AcknowledgmentCode as Code
from agent.messages.hl7.acknowledge import acknowledge
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse, split_batch
from agent.ris.apply import apply_all
from agent.ris.doubts import refuse_doubtful
from agent.ris.read import read
from agent.ris.updates import NotApplied, Update

# An event about a patient's identity that was accepted but changed nothing: the answer and `docs/hl7.md` say
# why.
IDENTITY_NOT_APPLIED = "identity-not-applied"

_COMMIT = {
    Code.ACCEPTED: Code.COMMITTED,
    Code.ERROR: Code.COMMITTED,
    Code.REJECTED: Code.COMMIT_REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The outcome of one message. `known`: it was received before. `code`: why it was not applied."""

    answer: Code
    outcome: str
    words: str = ""
    code: str = ""
    known: bool = False


class Inbox:
    """Stores messages and applies them."""

    def __init__(self, database: Database, settings: Hl7Settings) -> None:
        self._database, self._settings = database, settings
        # SQLite allows one writer; unlike SQLite's file lock, this lock is fair.
        self._writer = threading.Lock() if database.is_sqlite else nullcontext()
        self._log = get_logger("hl7")

    def take(self, raw: bytes, address: str) -> list[bytes]:
        """Process the content of one frame, a message or a batch; return the answers in order."""
        parts = split_batch(raw)
        if not parts:
            self._log.warning("message_not_taken", code=MessageUnreadable.code, address=address)
            return [
                self._answer(None, Taken(answer=Code.REJECTED, outcome="refused", words="no MSH segment"))
            ]
        return [answer for one in parts for answer in self._take(one, address)]

    def _take(self, raw: bytes, address: str) -> Sequence[bytes]:
        try:
            message = parse(raw)
        except MessageUnreadable as error:
            self._log.warning("message_not_taken", code=error.code, address=address)
            return [self._answer(None, Taken(answer=Code.REJECTED, outcome="refused", words=str(error)))]
        if message.type.startswith(("ACK", "MCF")) or any(message.all("MSA")):
            return []  # an answer to an answer of ours
        try:
            taken = self._stored(raw, message, address)
        except AgentError as error:
            # The message is not at fault: the sender should send it again.
            self._log.error("message_not_taken", code=error.code, address=address)
            busy = Taken(
                answer=Code.REJECTED,
                outcome="refused",
                words="the receiver cannot store it now",
            )
            return self._answers(message, busy)
        failpoint("hl7.before-answer")
        level = self._log.warning if taken.code or taken.answer is not Code.ACCEPTED else self._log.info
        reason = {"code": taken.code} if taken.code else {}
        level(
            "message_taken", state=taken.outcome, what=message.type[:16], status=taken.answer.value, **reason
        )
        return self._answers(message, taken)

    def _stored(self, raw: bytes, message: Message, address: str) -> Taken:
        key = _key(raw, message)
        try:
            with self._writer, self._database.transaction() as session:
                known = session.scalars(select(Hl7Message).where(Hl7Message.key == key)).first()
                if known is not None:
                    return self._repeated(known, raw)
                return self._enter(session, key, raw, message, address)
        except IntegrityError:
            # The same message came over two connections at once; the other one was faster.
            with self._database.reading() as session:
                known = session.scalars(select(Hl7Message).where(Hl7Message.key == key)).first()
            if known is None:
                raise DatabaseUnavailable("a message could not be stored; the sender asks again") from None
            return self._repeated(known, raw)

    def _repeated(self, known: Hl7Message, raw: bytes) -> Taken:
        if known.sha256 != _digest(raw):
            # The sender has restarted its numbering: accepting the message would lose it silently.
            self._log.warning("message_id_used_twice", code="message-id-used-twice", address=known.address)
            words = "its MSH-10 was used before for another message"
            return Taken(answer=Code.ERROR, outcome="refused", words=words, known=True)
        return Taken(
            answer=Code(known.answer),
            outcome=known.outcome,
            words=known.words,
            code=known.code or "",
            known=True,
        )

    def _enter(self, session: Session, key: str, raw: bytes, message: Message, address: str) -> Taken:
        now = database_now(session)
        told: tuple[Update, ...] = ()
        try:
            told = read(message, self._settings)
            taken = _judged(session, told)
        except MessageRefused as error:
            told = ()
            taken = Taken(answer=Code.ERROR, outcome="refused", words=str(error), code=MessageRefused.code)
        row = Hl7Message(
            key=key,
            sha256=_digest(raw),
            kind=message.type[:16],
            outcome=taken.outcome,
            code=taken.code or None,
            address=address,
            content=raw,
            answer=taken.answer.value,
            words=taken.words,
            received_at=now,
        )
        session.add(row)
        session.flush()
        if taken.outcome == "applied":
            apply_all(session, told, message, row.id, now)
        if taken.outcome != "ignored" or taken.code:
            _audit(session, row, taken, now)
        failpoint("hl7.before-commit")
        return taken

    def _answers(self, message: Message, taken: Taken) -> Sequence[bytes]:
        """Return our answers in the acknowledgment mode that the message requests (MSH-15, MSH-16)."""
        accept, application = (message.header.text(n).upper() for n in (15, 16))
        if not accept and not application:
            return [self._answer(message, taken)]
        failed = taken.answer is not Code.ACCEPTED
        answers = []
        commit = Taken(answer=_COMMIT[taken.answer], outcome=taken.outcome, words=taken.words)
        rejected = commit.answer is Code.COMMIT_REJECTED
        if _wanted(accept, failed=rejected):
            answers.append(self._answer(message, commit))
        if not rejected and _wanted(application, failed=failed):
            answers.append(self._answer(message, taken))
        return answers

    def _answer(self, message: Message | None, taken: Taken) -> bytes:
        with_time = self._now()
        return acknowledge(message, taken.answer, at=with_time, words=taken.words)

    def _now(self) -> datetime:
        return datetime.now(UTC)


def _judged(session: Session, told: tuple[Update, ...]) -> Taken:
    """Return the outcome of a message that was read.

    Raises:
        MessageRefused: it cannot be applied, and concerns stored studies.
    """
    notice = next((one for one in told if isinstance(one, NotApplied)), None)
    if notice is None:
        return Taken(answer=Code.ACCEPTED, outcome="applied")
    refuse_doubtful(session, notice)
    code = IDENTITY_NOT_APPLIED if notice.identity else ""
    return Taken(answer=Code.ACCEPTED, outcome="ignored", words=notice.words, code=code)


def _audit(session: Session, row: Hl7Message, taken: Taken, now: datetime) -> None:
    details = {"kind": row.kind, **({} if row.code is None else {"code": row.code})}
    event = Event(
        action=Action.TOLD,
        actor="hl7",
        address=row.address,
        succeeded=taken.outcome == "applied",
        details=details,
    )
    record(session, event, at=now)


def _wanted(stated: str, *, failed: bool) -> bool:
    """Table 0155: AL always, NE never, ER on error, SU on success."""
    return {"AL": True, "ER": failed, "SU": not failed}.get(stated, False)


def _digest(raw: bytes) -> str:
    """Return the digest of a message without its header, whose time may differ in a repetition."""
    _, _, body = raw.replace(b"\n", b"\r").strip(b"\r").partition(b"\r")
    return hashlib.sha256(body.replace(b"\r\r", b"\r")).hexdigest()


def _key(raw: bytes, message: Message) -> str:
    parts = (*message.sender, message.control_id)
    source = "|".join(parts).encode() if message.control_id else raw
    return hashlib.sha256(source).hexdigest()
