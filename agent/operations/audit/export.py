"""Exports audit events to their destinations: each at least once, in order, through any outage.

Every sink has a cursor row with its last event. Numbers are assigned before transactions commit, so an event
may appear after one with a larger number: the exporter waits briefly for a missing number, then skips and
remembers it, and sends its event when it appears. One exporter at a time holds a sink's lease; no transaction
is open while the network is in use.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.database.audit.record import Action
from agent.database.service_keys import LOG_HASH, service_key
from agent.database.session import Database, database_now
from agent.database.tables import AuditCursor, AuditEvent, Study
from agent.foundation.errors import AuditUndelivered, LeaseLost
from agent.foundation.settings.tree import Settings
from agent.operations.audit.message import AuditSubject, Occurrence, Source, message, to_plain, to_xml
from agent.operations.audit.sinks import FileSink, MessageLine, Sink, SyslogSink

BATCH = 200
# How long (s) to wait for a missing number: longer than any transaction with an event should take.
GAP_PATIENCE_S = 5.0
# A transaction that is still open after this time has failed, and its events with it.
GAP_MEMORY = timedelta(days=1)
_MOST_GAPS = 1000
_LEASE_S = 120.0
_MERGED = frozenset({Action.RECEIVED.value, Action.IMAGE.value, Action.PRIORS.value, Action.SENT.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A batch under a sink's lease: the events in order, and the cursor's position after them."""

    token: str
    occurrences: tuple[Occurrence, ...]
    last_id: int
    gaps: dict[str, Any]


class AuditExporter:
    """Sends new events to the sinks in the settings."""

    def __init__(
        self, database: Database, settings: Settings, sinks: Sequence[Sink] | None = None, host: str = ""
    ) -> None:
        audit = settings.audit
        host = host or socket.gethostname()
        self._database = database
        self._sinks = sinks_of(settings, host) if sinks is None else sinks
        self._source = Source(
            ae_title=settings.listener.ae_title,
            host=host,
            source_id=audit.source_id or host,
            site_id=audit.site_id,
        )
        self._name_of: Callable[[str], str] = str
        if audit.identity == "hashes":
            key = (settings.log.hash_key or service_key(database, LOG_HASH)).encode()
            self._name_of = lambda value: hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]
        self._json = audit.file_format == "json"
        self._keep_days = audit.keep_days

    @property
    def wanted(self) -> bool:
        """Whether anything is configured."""
        return bool(self._sinks) or self._keep_days is not None

    def run_once(self) -> dict[str, int]:
        """Deliver new events to each sink in batches; return the number of messages by sink. A sink that
        fails keeps its position; the others continue.

        Raises:
            AuditUndelivered: from the first sink that failed, after all have been tried.
            DatabaseUnavailable: messages that were delivered but not recorded are delivered again.
        """
        sent: Counter[str] = Counter()
        failures = []
        for sink in self._sinks:
            try:
                while count := self._deliver(sink):
                    sent[sink.name] += count
            except LeaseLost:
                continue  # another exporter has the lease; it sends the rest
            except AuditUndelivered as error:
                failures.append(error)
        self._forget_old()
        if failures:
            raise failures[0]
        return dict(sent)

    def _deliver(self, sink: Sink) -> int:
        taken = self._take(sink.name)
        if taken is None:
            return 0
        lines = [self._line(one, sink) for one in merged(taken.occurrences)]
        try:
            if lines:
                sink.deliver(lines)
        except AuditUndelivered as error:
            self._end(sink.name, taken, code=error.code)
            raise
        self._end(sink.name, taken)
        return len(lines)

    def _line(self, occurrence: Occurrence, sink: Sink) -> MessageLine:
        element = message(occurrence, self._source)
        as_json = self._json and isinstance(sink, FileSink)
        text = json.dumps(to_plain(element), ensure_ascii=False) if as_json else to_xml(element)
        return MessageLine(at=occurrence.at, succeeded=occurrence.succeeded, text=text)

    def _take(self, name: str) -> _Taken | None:
        """Take the sink's lease and its next events; None if there are none, or another exporter holds it."""
        with self._database.reading() as session:
            known = session.get(AuditCursor, name)
            newest = session.execute(select(func.max(AuditEvent.id))).scalar() or 0
            if known is not None and known.last_id >= newest and not known.gaps:
                return None
        with self._database.transaction() as session:
            now = database_now(session)
            if known is None:
                self._begin(session, name, now)
            cursor = session.get_one(AuditCursor, name, with_for_update=True)
            if cursor.lease_until is not None and cursor.lease_until > now:
                return None
            late, events, last_id, gaps = _next(session, cursor, now)
            if last_id == cursor.last_id and gaps == cursor.gaps:
                return None
            token = str(uuid.uuid4())
            cursor.lease_token, cursor.lease_until = token, now + timedelta(seconds=_LEASE_S)
            occurrences = self._occurrences(session, [*late, *events])
        return _Taken(token=token, occurrences=occurrences, last_id=last_id, gaps=gaps)

    def _begin(self, session: Session, name: str, now: datetime) -> None:
        """Create the sink's cursor; another exporter may do so at the same moment."""
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        session.execute(
            insert(AuditCursor)
            .values(sink=name, last_id=0, gaps={}, updated_at=now)
            .on_conflict_do_nothing(index_elements=["sink"])
        )

    def _end(self, name: str, taken: _Taken, code: str | None = None) -> None:
        with self._database.transaction() as session:
            cursor = session.get(AuditCursor, name, with_for_update=True)
            if cursor is None or cursor.lease_token != taken.token:
                raise LeaseLost("another exporter has taken over; its messages may come twice")
            cursor.lease_token = cursor.lease_until = None
            cursor.code, cursor.updated_at = code, database_now(session)
            if code is None:
                cursor.last_id, cursor.gaps = taken.last_id, taken.gaps

    def _occurrences(self, session: Session, events: Sequence[AuditEvent]) -> tuple[Occurrence, ...]:
        ids = {study_id for event in events for study_id in _studies_of(event)}
        rows = session.execute(
            select(Study.id, Study.study_instance_uid, Study.patient_id).where(Study.id.in_(sorted(ids)))
        )
        subjects = {
            row.id: AuditSubject(
                study_instance_uid=self._name_of(row.study_instance_uid),
                patient_id=self._name_of(row.patient_id) if row.patient_id else "",
            )
            for row in rows
        }
        return tuple(_occurrence(event, subjects) for event in events)

    def _forget_old(self) -> None:
        """Remove old events that every sink has received; the newest row is kept, because it numbers the
        next.
        """
        if self._keep_days is None:
            return
        with self._database.transaction() as session:
            before = database_now(session) - timedelta(days=self._keep_days)
            newest = session.execute(select(func.max(AuditEvent.id))).scalar() or 0
            places = {one.sink: one.last_id for one in session.scalars(select(AuditCursor))}
            done = min((places.get(sink.name, 0) for sink in self._sinks), default=newest)
            session.execute(
                delete(AuditEvent)
                .where(AuditEvent.at < before, AuditEvent.id <= done, AuditEvent.id < newest)
                .execution_options(synchronize_session=False)
            )


def sinks_of(settings: Settings, host: str) -> tuple[Sink, ...]:
    """Return the sinks in the settings."""
    audit = settings.audit
    file: tuple[Sink, ...] = () if audit.file is None else (FileSink(audit.file),)
    syslog: tuple[Sink, ...] = (
        () if audit.syslog is None else (SyslogSink(audit, host=host, pid=os.getpid()),)
    )
    return file + syslog


def merged(occurrences: Sequence[Occurrence]) -> list[Occurrence]:
    """Merge consecutive occurrences of one transfer: the instances of a study, received one by one."""
    result: list[Occurrence] = []
    for one in map(_counted, occurrences):
        last = result[-1] if result else None
        if last is not None and one.action in _MERGED and _same(last, one):
            classes = Counter(last.details["sop_classes"]) + Counter(one.details["sop_classes"])
            result[-1] = replace(last, details={**last.details, "sop_classes": dict(classes)})
        else:
            result.append(one)
    return result


def _counted(occurrence: Occurrence) -> Occurrence:
    """Return an occurrence with counted SOP classes; a list counts one of each."""
    classes = occurrence.details.get("sop_classes") or {}
    counts = dict(classes) if isinstance(classes, Mapping) else dict(Counter(classes))
    return replace(occurrence, details={**occurrence.details, "sop_classes": counts})


def _same(first: Occurrence, second: Occurrence) -> bool:
    def key(one: Occurrence) -> tuple[Any, ...]:
        details = one.details.get("code"), one.details.get("destination")
        return one.action, one.actor, one.address, one.succeeded, one.subjects, details

    return key(first) == key(second)


def _next(
    session: Session, cursor: AuditCursor, now: datetime
) -> tuple[Sequence[AuditEvent], Sequence[AuditEvent], int, dict[str, Any]]:
    """Return late events, the next events, and the place and the missing numbers after them."""
    missing = {int(number): str(since) for number, since in cursor.gaps.items()}
    late = session.scalars(
        select(AuditEvent).where(AuditEvent.id.in_(sorted(missing))).order_by(AuditEvent.id)
    ).all()
    for event in late:
        del missing[event.id]
    found = session.scalars(
        select(AuditEvent).where(AuditEvent.id > cursor.last_id).order_by(AuditEvent.id).limit(BATCH)
    ).all()
    events, last_id = [], cursor.last_id
    for event in found:
        skipped = range(last_id + 1, event.id)
        if skipped and (now - event.at).total_seconds() < GAP_PATIENCE_S:
            break
        missing.update({number: now.isoformat() for number in skipped[-_MOST_GAPS:]})
        events.append(event)
        last_id = event.id
    kept = [
        (str(number), since)
        for number, since in sorted(missing.items())
        if now - datetime.fromisoformat(since) < GAP_MEMORY
    ]
    return late, events, last_id, dict(kept[-_MOST_GAPS:])


def _studies_of(event: AuditEvent) -> tuple[int, ...]:
    several = event.details.get("studies") or ()
    own = () if event.study_id is None else (event.study_id,)
    return (*own, *(int(one) for one in several))


def _occurrence(event: AuditEvent, subjects: Mapping[int, AuditSubject]) -> Occurrence:
    return Occurrence(
        event_id=event.id,
        at=event.at,
        action=event.action,
        succeeded=event.succeeded,
        actor=event.actor,
        address=event.address,
        details={key: value for key, value in event.details.items() if key != "studies"},
        subjects=tuple(subjects[one] for one in _studies_of(event) if one in subjects),
    )
