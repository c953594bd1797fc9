"""Fills a database as after years of work, using only SQL: a million studies in less than a minute.

The last day and the last hour have the same content in every size, so that only the history differs.
"""

from __future__ import annotations

import os

from sqlalchemy import text
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now

# Studies of the last day, in every size.
DAY = 1_000
_SERIES = {
    "sqlite": "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :count) ",
    "postgresql": "WITH series(n) AS (SELECT generate_series(1, :count)) ",
}
# Moment n: one study every 86 s, the last one a minute ago, so that a day has `DAY` of them.
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || ((:count - n) * 86 + 60) || ' seconds')",
    "postgresql": "clock_timestamp() - make_interval(secs => (:count - n) * 86 + 60)",
}
# Every second one of the newest waits, so that the last hour has both drafts and jobs that wait for one.
_WAITS = "(n > :count - 2 * :waiting AND n % 2 = 1)"
_STATEMENTS = (
    "INSERT INTO studies (id, study_instance_uid, patient_id, issuer_of_patient_id, patient_name, "
    "patient_birth_date, accession_number, study_date, study_time, study_description, calling_ae_title, "
    "revision, first_received_at, last_received_at) {series}"
    "SELECT n, '1.2.826.0.1.3680043.8.498.' || n, 'P' || n, '', 'Benchmark^' || n, '', 'A' || n, '', '', "
    "'Chest', 'MODALITY', 1, {moment}, {moment} FROM series",
    "INSERT INTO jobs (id, kind, idempotency_key, study_id, revision, state, priority, incomplete, "
    "due_at, force_at, run_after, attempts, created_at, updated_at) {series}"
    "SELECT n, 'draft', 'draft|1.2.826.0.1.3680043.8.498.' || n || '|1|-', n, 1, "
    "CASE WHEN {waits} THEN 'QUEUED' WHEN n % 1000 = 0 THEN 'DEAD' "
    "WHEN n % 10 = 0 THEN 'SKIPPED' ELSE 'DELIVERED' END, 50, {false}, "
    "{moment}, {moment}, {moment}, 1, {moment}, {moment} FROM series",
    "INSERT INTO job_events (job_id, at, from_state, to_state, actor) {series}"
    "SELECT n, {moment}, 'GENERATING', 'DRAFTED', 'w' FROM series WHERE NOT {waits}",
    "INSERT INTO drafts (id, study_id, job_id, revision, model_digest, model_name, demonstration, outcome, "
    "text, content, urgency, seconds, waited_s, delivered_s, created_at) {series}"
    "SELECT n, n, n, 1, 'digest', 'model', {false}, 'drafted', 'Findings: Normal.', '{{}}', 50, 0.1, 61, 62, "
    "{moment} FROM series WHERE NOT {waits}",
    "INSERT INTO documents (id, draft_id, role, variant, sop_class_uid, sop_instance_uid, "
    "series_instance_uid, sha256, content) {series}"
    "SELECT n, n, 'report', 'v', '1.2', '2.25.' || n, '2.25.0', '0', {bytes} "
    "FROM series WHERE NOT {waits}",
    "INSERT INTO deliveries (document_id, job_id, destination, state, priority, run_after, give_up_at, "
    "attempts, created_at, updated_at, stored_at) {series}"
    "SELECT n, n, 'pacs', 'STORED', 50, {moment}, {moment}, 1, {moment}, {moment}, {moment} "
    "FROM series WHERE NOT {waits}",
)


def fill(database: Database, count: int, waiting: int) -> None:
    """Enter `count` studies with all that belongs to them; `waiting` of the newest are queued."""
    kind = database.engine.dialect.name
    words = {
        "series": _SERIES[kind],
        "moment": _MOMENT[kind],
        "waits": _WAITS,
        "false": "0" if kind == "sqlite" else "false",
        "bytes": "x'00'" if kind == "sqlite" else r"'\x00'::bytea",
    }
    with database.relaxed() as session:
        database_now(session)
        if kind == "postgresql":
            # Foreign keys are correct by construction: this saves millions of checks.
            session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in _STATEMENTS:
            session.execute(text(statement.format(**words)), {"count": count, "waiting": waiting})
        if kind == "postgresql":
            _let_sequences_follow(session)
    _settle(database)


def _let_sequences_follow(session: Session) -> None:
    """The ids were given explicitly; the next ones must follow them."""
    for table in ("studies", "jobs", "drafts", "documents"):
        session.execute(
            text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        )


def _settle(database: Database) -> None:
    """Flush the fill to disk before the queue is timed, and leave the tables as autovacuum keeps them."""
    if database.is_sqlite:
        # Outside a transaction, which every session of ours begins.
        raw = database.engine.raw_connection()
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
    else:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
    os.sync()
