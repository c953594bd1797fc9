"""The content of the monthly report for the head of department; it contains no patient attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from agent.database.session import database_now
from agent.database.tables import Draft, ModelSwitch, ShadowComparison, SignedReport
from agent.shadow.accuracy import GroupAccuracy, accuracy
from agent.shadow.certainty import CalibrationInUse, calibration_in_use
from agent.shadow.chosen import Chosen, chosen_studies, month_bounds
from agent.shadow.comparing import challenger_studies, compared_studies
from agent.shadow.drift import DriftAlarm, DriftRule, drift_alarms
from agent.shadow.switching import PairedResult, paired_result
from agent.shadow.watching import observations

_MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyCounts:
    """Drafts and signed reports of a month; not_compared: by code."""

    drafts: int
    in_shadow: int
    reports: int
    compared: int
    with_disagreement: int
    not_compared: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyReport:
    """A month's figures.

    whole: None without a comparison in the month. months: the last twelve up to this one. alarms: raised in
    this month; alarm_months: the months of all alarms. model: the digest of the month's newest draft.
    """

    month: str
    made_at: datetime
    version: str
    counts: MonthlyCounts
    whole: GroupAccuracy | None
    months: Sequence[GroupAccuracy]
    sites: Sequence[GroupAccuracy]
    devices: Sequence[GroupAccuracy]
    models: Sequence[GroupAccuracy]
    rule: DriftRule
    alarms: Sequence[DriftAlarm]
    alarm_months: Sequence[str]
    model: str
    calibration: CalibrationInUse | None
    paired: PairedResult | None
    switches: Sequence[ModelSwitch]


def read_monthly(session: Session, month: str, rule: DriftRule, version: str) -> MonthlyReport:
    """Read the report of a month (YYYY-MM, UTC).

    Raises:
        NotFound: it is not a month.
    """
    begin, end = month_bounds(month)
    studies = chosen_studies(session, Chosen(month=month))
    all_until = compared_studies(session, since=begin - timedelta(days=365), until=end)
    alarms = [one for one in drift_alarms(observations(session, until=end), rule) if one.at < end]
    model = studies[-1].model if studies else ""
    challengers = [one for one in challenger_studies(session) if one.at < end]
    newest = [one for one in challengers if one.model == challengers[-1].model]
    whole = accuracy(studies)
    return MonthlyReport(
        month=month,
        made_at=database_now(session),
        version=version,
        counts=_counts(session, begin, end),
        whole=whole[0] if whole else None,
        months=accuracy(all_until, "month")[-_MONTHS:],
        sites=accuracy(studies, "site"),
        devices=accuracy(studies, "device"),
        models=accuracy(studies, "model"),
        rule=rule,
        alarms=[one for one in alarms if one.at >= begin],
        alarm_months=sorted({f"{one.at:%Y-%m}" for one in alarms}),
        model=model,
        calibration=calibration_in_use(session, model),
        paired=paired_result([one for one in all_until if one.model == model], newest) if newest else None,
        switches=session.scalars(
            select(ModelSwitch).where(ModelSwitch.at >= begin, ModelSwitch.at < end).order_by(ModelSwitch.id)
        ).all(),
    )


def _counts(session: Session, begin: datetime, end: datetime) -> MonthlyCounts:
    def count(*where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).where(*where)) or 0

    drafted = (Draft.outcome == "drafted", Draft.created_at >= begin, Draft.created_at < end)
    received = (SignedReport.received_at >= begin, SignedReport.received_at < end)
    compared = (ShadowComparison.drafted_at >= begin, ShadowComparison.drafted_at < end)
    codes = select(SignedReport.code, func.count()).where(SignedReport.code.is_not(None), *received)
    return MonthlyCounts(
        drafts=count(*drafted),
        in_shadow=count(*drafted, Draft.shadow.is_(True)),
        reports=count(*received),
        compared=count(*compared),
        with_disagreement=count(*compared, ShadowComparison.disagreements > 0),
        not_compared={
            str(code): number for code, number in session.execute(codes.group_by(SignedReport.code)).all()
        },
    )
