"""The record of who did what with whose images: rows in `audit_events`, which are only added.

`record` writes inside the caller's transaction, so that an event exists if and only if the change it
describes does. Events without a transaction of their own (an association, an unknown caller) go through
`Recorder`, which never blocks its caller. `agent.operations.audit.message` turns the rows into DICOM audit
messages (PS3.15 A.5).
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger


class Action(StrEnum):
    """What was done. The comment names the corresponding message of PS3.15 A.5.3."""

    START = "start"  # Application Activity
    STOP = "stop"  # Application Activity
    CONFIGURATION = "configuration"  # Security Alert (Software Configuration): a new one is in force
    USER_CHANGE = "user-change"  # Security Alert (User Security Attributes Changed)
    ASSOCIATION = "association"  # Security Alert with success (Node Authentication): a peer was accepted
    REFUSED = "association-refused"  # Security Alert (Node Authentication): a peer was rejected
    RECEIVED = "instances-received"  # DICOM Instances Transferred, peer -> us
    NOT_TAKEN = "instances-not-taken"  # the same, failed: a failure status, quarantine, a conflict
    DRAFT = "draft"  # DICOM Instances Accessed: the network read the images and a draft was made
    NO_DRAFT = "no-draft"  # the same, failed: the images cannot be drafted
    SENDING = "document-sending"  # Begin Transferring DICOM Instances, us -> destination
    SENT = "document-sent"  # DICOM Instances Transferred, us -> destination
    NOT_SENT = "document-not-sent"  # the same, failed
    COMMITMENT = "commitment"  # DICOM Instances Transferred: the destination's answer on a document
    TOLD = "hl7-received"  # Order Record: an HL7 message was applied, or refused
    QUERY = "query"  # Query: C-FIND of ours, for priors or counts
    PRIORS = "priors-fetched"  # DICOM Instances Transferred, archive -> us
    PURGE = "purge"  # DICOM Study Deleted: the image files of a study
    EXPORT = "export"  # Export: documents or texts handed to a person's terminal or file
    SIGN_IN = "sign-in"  # User Authentication (Login)
    SIGN_OUT = "sign-out"  # User Authentication (Logout)
    LIST = "list"  # Query: the worklist was shown
    VIEW = "view"  # DICOM Instances Accessed: a study was opened
    IMAGE = "image"  # DICOM Instances Accessed: an image was shown
    RESOLVED = "conflict-resolved"  # DICOM Instances Accessed: a person decided on the patient
    WITHDRAWN = "draft-withdrawn"  # DICOM Instances Accessed: a draft for another patient is withdrawn
    CLAIM = "claim"  # DICOM Instances Accessed: a radiologist has claimed a study
    TAKEN_OVER = "claim-taken-over"  # the same, from the radiologist who had claimed it
    RELEASED = "claim-released"  # the same, ended
    VERDICT = "verdict"  # DICOM Instances Accessed: a radiologist decided
    AUDIT_READ = "audit-read"  # Audit Log Used
    FAULT = "fault"  # Security Alert: something that a security officer should know


# Allowed details of an event; never a patient's attribute, which the message takes from the study itself.
DETAILS = frozenset(
    {
        "association", "called", "certificate", "code", "count", "destination", "document", "instance_id",
        "kind", "purged_bytes", "purged_files", "query", "reason", "reason_code", "revision", "role",
        "settings", "sop_classes", "status", "studies", "syntaxes", "user", "version",
    }
)  # fmt: skip


# Reason codes of a FAULT at the listener: no proposed context was accepted; the peer disconnected in the
# middle of an object.
NO_CONTEXT, CUT_OFF = "no-accepted-context", "object-cut-off"
# Control, format, half, private and unassigned characters, and separators of lines and paragraphs.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One action.

    actor: who did it: a peer's AE title, a person's user name, or one of our processes ("listener@host:1").
    address: where from, an IP address or host name; empty where it is our own machine.
    study_id: the row of the study whose patient it concerns.
    details: only keys of `DETAILS`; values of JSON types.
    """

    action: Action
    actor: str
    address: str = ""
    succeeded: bool = True
    study_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, event: Event, *, at: datetime | None = None) -> None:
    """Write one event in the caller's transaction: it commits or rolls back with the change it describes.

    at: the database's time, if the caller has just read it.

    Raises:
        ValueError: a detail that is not in `DETAILS`.
    """
    unknown = sorted(set(event.details) - DETAILS)
    if unknown:
        raise ValueError(f"an audit event has no detail called {unknown[0]}")
    session.execute(
        insert(AuditEvent).values(
            at=at or database_now(session),
            action=event.action.value,
            succeeded=event.succeeded,
            actor=cleaned(event.actor)[:128],
            address=cleaned(event.address)[:64],
            study_id=event.study_id,
            details={key: _plain(value) for key, value in event.details.items()},
        )
    )


def cleaned(text: str) -> str:
    """Return a text with its invisible characters (control, format, surrogate) replaced by U+FFFD.

    A name typed by a stranger must not break a line of the audit, reverse its direction, or colour a
    terminal.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _UNSEEN else one for one in text
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


class Recorder:
    """Takes events without blocking the caller, merges equal ones, and writes them from a thread.

    An event is lost if the process is killed within `every_s` seconds; events that must not be lost go
    through `record` in a transaction. Equal events of one interval become one row with a `count`; if there
    are more than `most` different ones, the excess becomes one FAULT with their number.
    """

    def __init__(self, database: Database, role: str, *, every_s: float = 1.0, most: int = 256) -> None:
        self._database = database
        self._role = role
        self._every_s = every_s
        self._most = most
        self._waiting: dict[str, tuple[Event, int]] = {}
        self._dropped = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._log = get_logger(role)

    def __enter__(self) -> Recorder:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Write the remaining events and stop the thread."""
        self.close()

    def note(self, event: Event, count: int = 1) -> None:
        """Take an event that happened `count` times; never blocks or raises."""
        key = repr(event)
        with self._lock:
            known = self._waiting.get(key)
            if known is None and len(self._waiting) >= self._most:
                self._dropped += count
            else:
                self._waiting[key] = (event, count + (known[1] if known else 0))

    def close(self) -> None:
        """Write the remaining events and stop the thread if it is running."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self) -> None:
        """Write the events taken so far, in the order in which each first occurred.

        Raises:
            DatabaseUnavailable: nothing was written; the events are kept for the next attempt.
        """
        with self._lock:
            waiting, dropped = dict(self._waiting), self._dropped
            self._waiting, self._dropped = {}, 0
        if not waiting and not dropped:
            return
        try:
            with self._database.transaction() as session:
                for event, count in waiting.values():
                    record(session, _counted(event, count))
                if dropped:
                    details = {"code": "audit-overflow", "count": dropped}
                    record(session, Event(action=Action.FAULT, actor=self._role, details=details))
        except DatabaseUnavailable:
            with self._lock:
                self._dropped += dropped
            for event, count in waiting.values():
                self.note(event, count)
            raise

    def _run(self) -> None:
        over = False
        while not over:
            over = self._end.wait(self._every_s)
            try:
                self.flush()
            except DatabaseUnavailable as error:
                self._log.warning("audit_waits", code=error.code)


def _counted(event: Event, count: int) -> Event:
    if count == 1:
        return event
    return replace(event, details={**event.details, "count": int(event.details.get("count", 1)) * count})
