"""Decides which of the two configured models drafts, and what must be shown before that changes.

Rows of `model_switches` are only added; the newest says which checkpoint drafts. Switching to the challenger
needs a paired comparison; switching back only needs a reason, because it must be possible at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import database_now
from agent.database.tables import ModelSwitch
from agent.foundation.model_errors import SwitchRefused
from agent.shadow.readings import ComparedStudy
from agent.shadow.two_models import PairedConcept, paired_concepts

Place = Literal["main", "challenger"]
MAIN: Place = "main"
CHALLENGER: Place = "challenger"
# Probability that any finding is called worse although the models are equally good.
_LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """Two models compared on the studies that both drafted: their number, and the findings in which one is
    better.

    worse: findings in which the challenger is significantly worse (McNemar's exact test, with Bonferroni's
    correction for the findings in which the models differ at all).
    """

    studies: int
    concepts: tuple[PairedConcept, ...]
    worse: tuple[PairedConcept, ...]
    better: tuple[PairedConcept, ...]


def paired_result(main: Sequence[ComparedStudy], challenger: Sequence[ComparedStudy]) -> PairedResult:
    """Compare two models on the studies that both have drafted."""
    shared = {study.key for study in main} & {study.key for study in challenger}
    concepts = paired_concepts(main, challenger)
    differing = [one for one in concepts if one.only_first or one.only_second]
    apart = [one for one in differing if one.p_value < _LEVEL / len(differing)]
    return PairedResult(
        studies=len(shared),
        concepts=tuple(concepts),
        worse=tuple(one for one in apart if one.only_first > one.only_second),
        better=tuple(one for one in apart if one.only_second > one.only_first),
    )


def objections(result: PairedResult, minimum: int) -> list[str]:
    """Return why the challenger may not take over; empty if it may."""
    found = []
    if result.studies < minimum:
        found.append(
            f"both models have drafted {result.studies} studies with a signed report; "
            f"`shadow.challenger.minimum_studies` is {minimum}"
        )
    found += [
        f"the challenger is worse in {one.concept}: alone right in {one.only_second} studies, the main model "
        f"in {one.only_first} (p = {one.p_value:.2g})"
        for one in result.worse
    ]
    return found


def newest_switch(session: Session) -> ModelSwitch | None:
    """Return the last switch; None if there was none, and the main checkpoint drafts."""
    return session.scalars(select(ModelSwitch).order_by(ModelSwitch.id.desc()).limit(1)).first()


def place_in_use(session: Session) -> Place:
    """Return which configured checkpoint drafts."""
    newest = newest_switch(session)
    return CHALLENGER if newest is not None and newest.place == CHALLENGER else MAIN


def write_switch(
    session: Session,
    *,
    place: Place,
    actor: str,
    reason: str,
    from_digest: str,
    to_digest: str,
    studies: int | None,
) -> ModelSwitch:
    """Write a switch and its audit event; running workers follow within seconds.

    Raises:
        SwitchRefused: no reason is given, or that checkpoint drafts already.
    """
    if not reason.strip():
        raise SwitchRefused("a switch of the model needs a reason", remedy="say why with --reason")
    if place_in_use(session) == place:
        raise SwitchRefused(
            f"the {place} checkpoint drafts already", remedy="nothing; `echo-agent model show` shows both"
        )
    row = ModelSwitch(
        at=database_now(session),
        actor=actor[:128],
        reason=reason.strip(),
        place=place,
        from_digest=from_digest,
        to_digest=to_digest,
        studies=studies,
    )
    session.add(row)
    details = {"kind": "model-switch", "reason": reason.strip()[:200], "version": to_digest}
    record(session, Event(action=Action.CONFIGURATION, actor=actor, details=details))
    session.flush()
    return row
