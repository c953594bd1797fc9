"""Stored calibrations: fitted on one half of the signed reports, judged on the other, used only if reliable.

Without a calibration in use, no probability is written into a document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import database_now
from agent.database.tables import Draft, ShadowComparison, StoredCalibration
from agent.foundation.model_errors import CalibrationRefused
from agent.shadow.calibration import Calibration, Reliability, ReliabilityBin, ScoredFinding, fit, reliability
from agent.shadow.readings import pairs_of
from agent.shadow.scores import scored, sentences_of
from model.findings.stored import finding_of

# Number of findings that the judging half must have, and the largest expected calibration error allowed in
# it.
LEAST_JUDGED = 100
LARGEST_ERROR = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """Scored findings of two halves of the studies: to fit on, and to judge by."""

    fitting: tuple[ScoredFinding, ...]
    judging: tuple[ScoredFinding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationInUse:
    """The calibration of a model, and the digest with which drafts and documents refer to it."""

    digest: str
    calibration: Calibration
    reliability: Reliability


def read_halves(session: Session, model_digest: str) -> Halves:
    """Return the scored findings of a model's compared drafts in two halves.

    A digest of the study's row decides the half: all months, devices and sites are in both halves, and a
    study is always in the same one.
    """
    halves: tuple[list[ScoredFinding], list[ScoredFinding]] = ([], [])
    rows = session.execute(
        select(ShadowComparison.study_id, ShadowComparison.pairs, Draft.content)
        .join(Draft, Draft.id == ShadowComparison.draft_id)
        .where(ShadowComparison.model_digest == model_digest)
        .order_by(ShadowComparison.id)
    )
    for study_id, pairs, content in rows:
        findings = [finding_of(one) for one in content.get("findings") or ()]
        half = hashlib.sha256(str(study_id).encode()).digest()[0] % 2
        halves[half].extend(scored(findings, sentences_of(content), pairs_of(pairs)))
    return Halves(fitting=tuple(halves[0]), judging=tuple(halves[1]))


def calibrate(halves: Halves) -> CalibrationInUse:
    """Fit on one half and judge on the other.

    Raises:
        CalibrationRefused: a fit needs findings that were signed and findings that were not.
    """
    try:
        fitted = fit(halves.fitting)
    except ValueError as error:
        raise CalibrationRefused(f"{error}; there are {len(halves.fitting)} in all") from error
    return CalibrationInUse(
        digest=_digest(_plain(fitted)), calibration=fitted, reliability=reliability(fitted, halves.judging)
    )


def objection(found: CalibrationInUse) -> str:
    """Return why a calibration may not be used; empty if it may."""
    judged = found.reliability
    if judged.count < LEAST_JUDGED:
        return f"it is judged on {judged.count} findings, and {LEAST_JUDGED} are needed"
    if judged.error > LARGEST_ERROR:
        return f"its calibration error is {judged.error:.3f}, above {LARGEST_ERROR}"
    return ""


def store(session: Session, model_digest: str, found: CalibrationInUse, actor: str) -> StoredCalibration:
    """Use a calibration for a model's next drafts, in place of the previous one.

    Raises:
        CalibrationRefused: it is not reliable.
    """
    refused = objection(found)
    if refused:
        raise CalibrationRefused(f"the calibration is not stored: {refused}")
    end_use(session, model_digest)
    judged = found.reliability
    row = StoredCalibration(
        digest=found.digest,
        model_digest=model_digest,
        fit=_plain(found.calibration),
        reliability={
            "error": judged.error,
            "count": judged.count,
            "bins": [[one.count, one.stated, one.signed] for one in judged.bins],
        },
        in_use=True,
        actor=actor[:128],
        at=database_now(session),
    )
    session.add(row)
    details = {"kind": "calibration", "version": found.digest, "count": judged.count}
    record(session, Event(action=Action.CONFIGURATION, actor=actor, details=details))
    return row


def end_use(session: Session, model_digest: str) -> None:
    """Stop giving a model's next drafts probabilities."""
    session.execute(
        update(StoredCalibration)
        .where(StoredCalibration.model_digest == model_digest, StoredCalibration.in_use.is_(True))
        .values(in_use=False)
    )


def calibration_in_use(session: Session, model_digest: str) -> CalibrationInUse | None:
    """Return a model's calibration; None if it has none, or the stored one does not match its digest."""
    row = session.scalars(
        select(StoredCalibration)
        .where(StoredCalibration.model_digest == model_digest, StoredCalibration.in_use.is_(True))
        .order_by(StoredCalibration.id.desc())
        .limit(1)
    ).first()
    if row is None or _digest(row.fit) != row.digest:
        return None
    judged = row.reliability
    return CalibrationInUse(
        digest=row.digest,
        calibration=Calibration(
            slope=row.fit["slope"],
            intercepts=row.fit["intercepts"],
            other=row.fit["other"],
            fitted=row.fit["fitted"],
        ),
        reliability=Reliability(
            bins=tuple(
                ReliabilityBin(count=count, stated=stated, signed=signed)
                for count, stated, signed in judged["bins"]
            ),
            error=judged["error"],
            count=judged["count"],
        ),
    )


def _plain(fitted: Calibration) -> dict[str, Any]:
    return {
        "slope": fitted.slope,
        "intercepts": dict(fitted.intercepts),
        "other": fitted.other,
        "fitted": fitted.fitted,
    }


def _digest(fit_values: Mapping[str, Any]) -> str:
    """The sha256 of the fit as canonical JSON; floats are written so that they read back the same."""
    return hashlib.sha256(json.dumps(fit_values, sort_keys=True).encode()).hexdigest()
