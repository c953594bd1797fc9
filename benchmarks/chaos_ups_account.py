"""The account of a chaos run's workitems: the RIS's, and the agent's as seen by a watcher."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Job, Study
from agent.database.workitems import Workitem
from benchmarks.chaos_pacs import Arrival
from benchmarks.chaos_ris import RIVAL, Entry

_AFTER = {"": ("SCHEDULED",), "SCHEDULED": ("IN PROGRESS",), "IN PROGRESS": ("COMPLETED", "CANCELED")}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsAccount:
    """Counts. The expected value is 0 for all but `items`.

    ups_lost: ordered items that were not completed, and studies without a completed workitem of the agent's.
    ups_twice: items with more than one accepted claim or completion, and studies with more than one completed
        workitem of the agent's.
    ups_wrong_outputs: items that we completed whose output is not what the PACS holds of their study.
    ups_unheard: completed workitems of the agent's whose events did not reach the watcher, or not in order.
    """

    items: int
    ups_lost: int
    ups_twice: int
    ups_wrong_outputs: int
    ups_unheard: int


def completed_workitems(database: Database) -> dict[str, list[str]]:
    """Return the agent's completed workitems of each study."""
    with database.reading() as session:
        rows = session.execute(
            select(Study.study_instance_uid, Workitem.uid)
            .join(Job, Job.study_id == Study.id)
            .join(Workitem, Workitem.job_id == Job.id)
            .where(Workitem.state == "COMPLETED")
        ).all()
    found: dict[str, list[str]] = defaultdict(list)
    for study, uid in rows:
        found[study].append(uid)
    return found


def ups_account(
    studies: Collection[str],
    entries: Sequence[Entry],
    completed: dict[str, list[str]],
    arrivals: Sequence[Arrival],
) -> UpsAccount:
    """Compare what was ordered and acknowledged with both worklists and the PACS.

    Args:
        studies: the acknowledged studies.
        entries: the record of the RIS.
        completed: the agent's completed workitems of each study.
        arrivals: what the PACS was sent.
    """
    steps = Counter((one.uid, one.state) for one in entries if one.kind == "item")
    last = {one.uid: one for one in entries if one.kind == "item" and one.study in studies}
    held: dict[str, set[str]] = defaultdict(set)
    for one in arrivals:
        held[one.study].add(one.sop_instance)
    ended = [one for one in last.values() if one.state == "COMPLETED"]
    wrong = [one for one in ended if one.transaction != RIVAL and set(one.outputs) != held[one.study]]
    uids = {uid for found in completed.values() for uid in found}
    return UpsAccount(
        items=len(last),
        ups_lost=len(last) - len(ended) + sum(not completed.get(study) for study in studies),
        ups_twice=sum(count > 1 for count in steps.values())
        + sum(len(found) > 1 for found in completed.values()),
        ups_wrong_outputs=len(wrong),
        ups_unheard=sum(not in_order(entries, uid) for uid in uids),
    )


def in_order(entries: Sequence[Entry], uid: str) -> bool:
    """Whether the watcher received a workitem's states in order up to COMPLETED; repetitions are allowed.

    What happened before the subscription is not reported, so that the first state may be any.
    """
    state = ""
    for one in entries:
        if one.kind != "heard" or one.uid != uid or one.state == state:
            continue
        if state and one.state not in _AFTER.get(state, ()):
            return False
        state = one.state
    return state == "COMPLETED"
