"""Fills a database with many drafted studies, each with findings, flags and a name, for the worklist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import Draft, Job, Listing, ListingTag, Study
from agent.reports import worklist_row as listing

BATCH = 2000
FAMILY = ("Miller", "Şahin", "Nowak", "García", "Müller", "Rossi", "Tanaka", "Okafor", "Haddad", "Silva")
GIVEN = ("Anna", "Ben", "Carla", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jan", "Kenji", "Lea")
SOME_NAME, SOME_ACCESSION = "nowak", "A00054321"
# Share of the studies in which each is seen.
SHARES = {
    "pleural_effusion": 0.25,
    "cardiomegaly": 0.2,
    "atelectasis": 0.15,
    "lung_opacity": 0.15,
    "consolidation": 0.1,
    "central_line": 0.1,
    "pneumothorax": 0.05,
    "nodule": 0.04,
    "rib_fracture": 0.03,
    "pneumoperitoneum": 0.0005,
}
URGENT = {
    "pneumothorax": ("critical", 5),
    "pneumoperitoneum": ("critical", 5),
    "consolidation": ("urgent", 20),
}


def fill(database: Database, count: int) -> None:
    """Enter `count` studies: four fifths wait to be read; others are accepted, rejected, or without draft."""
    chance = Random(20)
    with database.reading() as session:
        now = database_now(session)
    for first in range(1, count + 1, BATCH):
        numbers = range(first, min(first + BATCH, count + 1))
        with database.transaction() as session:
            _enter(session, [_study(number, count, now, chance) for number in numbers])
    if not database.is_sqlite:
        with database.transaction() as session:
            for table in ("studies", "jobs", "drafts"):
                session.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                        f"(SELECT max(id) FROM {table}))"
                    )
                )
            # As autovacuum does soon after this many rows were added.
            session.execute(text("ANALYZE"))


def _enter(session: Session, studies: list[tuple[Study, str, dict[str, Any], int]]) -> None:
    rows: dict[type, list[dict[str, Any]]] = {Study: [], Job: [], Draft: [], Listing: [], ListingTag: []}
    for study, outcome, content, urgency in studies:
        at, number = study.first_received_at, study.id
        rows[Study].append(
            {column.name: getattr(study, column.name) for column in Study.__table__.columns}
            | {"revision": 1, "prior": False}
        )
        common = {"id": number, "study_id": number, "revision": 1, "created_at": at}
        job = {"kind": "draft", "idempotency_key": f"draft|{number}", "state": "DELIVERED", "priority": 50}
        rows[Job].append(
            common | job | {"run_after": at, "updated_at": at, "attempts": 1, "incomplete": False}
        )
        draft = {"job_id": number, "model_digest": "0", "model_name": "benchmark", "demonstration": False}
        rows[Draft].append(
            common | draft | {"outcome": outcome, "text": "", "content": content, "urgency": urgency}
        )
        rows[Listing].append(
            {
                "study_id": number,
                "draft_id": number,
                "shelf": listing.SHELVES[outcome],
                "urgency": urgency,
                "drafted_at": at,
                "arrived_at": at,
                **listing.keys_of(study),
            }
        )
        tags = sorted(set(listing.tags_of(outcome, content, demonstration=False)))
        rows[ListingTag] += [{"tag": tag, "study_id": number} for tag in tags]
    for table, values in rows.items():
        session.execute(insert(table), values)


def _study(number: int, count: int, now: datetime, chance: Random) -> tuple[Study, str, dict[str, Any], int]:
    moment = now - timedelta(seconds=20 * (count - number) + 60)
    study = Study(
        id=number,
        study_instance_uid=f"1.2.826.0.1.3680043.8.498.{number}",
        patient_id=f"P{number:08d}",
        issuer_of_patient_id="",
        patient_name=f"{chance.choice(FAMILY)}^{chance.choice(GIVEN)}",
        patient_birth_date=f"{chance.randint(1930, 2010)}0101",
        accession_number=f"A{number:08d}",
        study_date=f"{moment:%Y%m%d}",
        study_time=f"{moment:%H%M%S}",
        study_description="Chest PA and lateral",
        calling_ae_title="MODALITY",
        first_received_at=moment,
        last_received_at=moment,
    )
    findings = list(_findings(chance))
    levels = [URGENT[one["concept"]] for one in findings if one["concept"] in URGENT]
    level, urgency = min(levels, key=lambda one: one[1], default=("", 50))
    outcome = chance.choices(("drafted", "verified", "rejected", "failed"), (80, 15, 3, 2))[0]
    flags = (
        [{"code": "low_confidence", "text": "Parts of the draft are doubtful."}] if number % 7 == 0 else []
    )
    content: dict[str, Any] = {"findings": findings, "flags": flags}
    if level:
        content["urgency"] = {"level": level, "priority": urgency, "rule": "x", "reason": "for the benchmark"}
    return study, outcome, content, urgency


def _findings(chance: Random) -> Iterator[dict[str, Any]]:
    for concept, share in SHARES.items():
        seen = chance.random() < share
        yield {
            "concept": concept,
            "presence": "present" if seen else "absent",
            "laterality": chance.choice(("left", "right")) if seen else None,
            "evidence": "A sentence that says so.",
        }
