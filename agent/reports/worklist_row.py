"""A study's row in the worklist: its state, and the keys for sorting, searching and filtering.

Updated with each draft, in the transaction that writes it, so that the list reads one index and never sorts
100,000 studies. The newest draft counts, regardless of the order of writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from agent.database.tables import Draft, Listing, ListingTag, Study

OPEN, VERIFIED, REJECTED, NONE = "open", "verified", "rejected", "none"
SHELVES: Mapping[str, str] = {
    "drafted": OPEN,
    "verified": VERIFIED,
    "rejected": REJECTED,
    "failed": NONE,
    "not_attempted": NONE,
}
# A draft or report without a positive finding.
NORMAL = "normal"
DEMONSTRATION = "flag:demonstration"
# Images arrived after a report was verified: that report stays valid until the new draft is reviewed.
AFTER_VERIFICATION = "flag:after_verification"
# Its patient was corrected after it had been written.
WITHDRAWN = "flag:withdrawn"
LONGEST_KEY = 200
LONGEST_SEARCH = 1000


def enter(session: Session, draft: Draft) -> None:
    """Enter a study's newest draft in the list; a draft older than the listed one is ignored."""
    study = session.get_one(Study, draft.study_id)
    values = {
        "draft_id": draft.id,
        "shelf": SHELVES[draft.outcome],
        "urgency": draft.urgency,
        "drafted_at": draft.created_at,
        "arrived_at": study.first_received_at,
        **keys_of(study),
    }
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(Listing) if on_sqlite else postgresql.insert(Listing)
    entered = session.execute(
        insert.values(study_id=study.id, **values)
        .on_conflict_do_update(
            index_elements=["study_id"], set_=values, where=Listing.draft_id < insert.excluded.draft_id
        )
        .returning(Listing.study_id)
    ).first()
    if entered is None:
        return
    tags = set(tags_of(draft.outcome, draft.content, demonstration=draft.demonstration))
    if SHELVES[draft.outcome] in (OPEN, NONE) and _was_verified(session, draft):
        tags.add(AFTER_VERIFICATION)
    session.execute(delete(ListingTag).where(ListingTag.study_id == study.id))
    session.add_all(ListingTag(study_id=study.id, tag=tag) for tag in sorted(tags))


def withdraw(session: Session, draft: Draft) -> None:
    """Remove a withdrawn draft from the open list, as long as no newer one is listed."""
    study = session.get_one(Study, draft.study_id)
    listed = session.execute(
        update(Listing)
        .where(Listing.study_id == study.id, Listing.draft_id == draft.id)
        .values(shelf=REJECTED, **keys_of(study))
        .returning(Listing.study_id)
    ).first()
    if listed is not None:
        session.merge(ListingTag(study_id=study.id, tag=WITHDRAWN))


def keys_of(study: Study) -> dict[str, str]:
    """Return a study's keys: the patient's name to sort by, its acquisition time, and the text that is
    searched."""
    named = (study.patient_name, study.patient_id, study.accession_number, study.study_description)
    return {
        "patient": study.patient_name.casefold()[:LONGEST_KEY],
        "taken": f"{study.study_date}{study.study_time}"[:LONGEST_KEY],
        "search": "\n".join(named).casefold()[:LONGEST_SEARCH],
    }


def tags_of(outcome: str, content: Mapping[str, Any], *, demonstration: bool) -> Iterator[str]:
    """Return the search tags of a draft: its positive findings and its flags."""
    found = {
        one["concept"]
        for one in content.get("findings") or ()
        if one["presence"] != "absent" and one["concept"] != "no_finding"
    }
    yield from found
    if not found and SHELVES[outcome] in (OPEN, VERIFIED):
        yield NORMAL
    for flag in content.get("flags") or ():
        yield f"flag:{flag['code']}"[:64]
    if demonstration:
        yield DEMONSTRATION


def _was_verified(session: Session, draft: Draft) -> bool:
    """Whether the last verdict before a draft was one that verified a report."""
    judged = (
        select(Draft.outcome)
        .where(
            Draft.study_id == draft.study_id, Draft.outcome.in_(("verified", "rejected")), Draft.id < draft.id
        )
        .order_by(Draft.id.desc())
        .limit(1)
    )
    return session.scalar(judged) == "verified"
