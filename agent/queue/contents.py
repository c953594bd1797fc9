"""The current contents of a study: the newest content of each SOP Instance, without rejected ones."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.states import REJECTED
from agent.database.tables import Instance
from agent.objects.header import Header, read_stored
from agent.objects.rejection_note import NOTE_CLASS, is_key_object, is_rejection_note, rejected_instances
from agent.objects.store import InstanceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The newest content of one SOP Instance; `arrival` grows with the time of receipt.

    first: the arrival of the instance's first content. is_document: it is a Key Object Selection, no image.
    rejected: a rejection note had taken it back before the file of the note was purged.
    """

    sop_instance_uid: str
    sha256: str
    arrival: int
    first: int
    is_document: bool
    rejected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The contents of a study that are to be drafted, up to some revision.

    here: the newest content of each SOP Instance whose file is still here, in the order of arrival.
    arrived: every SOP Instance that was ever received. purged: whether the newest content of an image has
    been purged. changed: whether one arrived with several contents.
    """

    here: tuple[Content, ...]
    arrived: frozenset[str]
    purged: bool
    changed: bool

    @property
    def sha256s(self) -> tuple[str, ...]:
        """The digests of the stored contents."""
        return tuple(one.sha256 for one in self.here)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One content with its header."""

    content: Content
    header: Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the objects of a study say: the images that count, and the SOP Instances that were rejected."""

    images: tuple[Image, ...]
    rejected: frozenset[str]


def contents_of(session: Session, study_id: int, *, up_to_revision: int | None = None) -> Contents:
    """Return a study's contents that are to be drafted, without instances retrieved only for comparison."""
    wanted = [Instance.study_id == study_id, Instance.prior.is_(False)]
    if up_to_revision is not None:
        wanted.append(Instance.revision <= up_to_revision)
    rows = session.execute(
        select(
            Instance.id,
            Instance.sop_instance_uid,
            Instance.sha256,
            Instance.purged_at,
            Instance.sop_class_uid,
            Instance.skipped_by,
        )
        .where(*wanted)
        .order_by(Instance.id)
    ).all()
    newest = {row.sop_instance_uid: row for row in rows}
    first = {row.sop_instance_uid: row.id for row in reversed(rows)}
    purged = [row for row in newest.values() if row.purged_at is not None]
    lost_notes = any(row.sop_class_uid == NOTE_CLASS for row in purged)
    return Contents(
        here=tuple(
            Content(
                sop_instance_uid=row.sop_instance_uid,
                sha256=row.sha256,
                arrival=row.id,
                first=first[row.sop_instance_uid],
                is_document=row.sop_class_uid == NOTE_CLASS,
                rejected=lost_notes and row.skipped_by == REJECTED,
            )
            for row in sorted(newest.values(), key=lambda row: row.id)
            if row.purged_at is None
        ),
        arrived=frozenset(newest),
        purged=any(row.sop_class_uid != NOTE_CLASS for row in purged),
        changed=len(rows) > len(newest),
    )


def standing_in(contents: Contents, store: InstanceStore) -> Standing:
    """Read the headers of a study's objects: its images, except documents, and except rejected instances.

    A rejection note applies to the instances that it names, also to one that arrives only after it; a changed
    instance that is sent again afterwards counts.

    Raises:
        InstanceMissing: a file is gone.
        UnreadableInstance: a file is not a complete DICOM object.
        StoreUnavailable: the bucket does not answer.
    """
    read = [Image(content=one, header=read_stored(store.open(one.sha256))) for one in contents.here]
    taken_back = {
        uid: one.content.arrival
        for one in read
        if is_rejection_note(one.header)
        for uid in rejected_instances(store.open(one.content.sha256))
    }
    images = tuple(
        one
        for one in read
        if not is_key_object(one.header)
        and not _taken_back(one.content, taken_back.get(one.content.sop_instance_uid, 0))
    )
    marked = frozenset(one.sop_instance_uid for one in contents.here if one.rejected)
    return Standing(
        images=images,
        rejected=(marked | frozenset(taken_back)) - {one.content.sop_instance_uid for one in images},
    )


def _taken_back(content: Content, note: int) -> bool:
    """Whether the newest note that names a content's instance rejects it; note: its arrival, 0 without one.

    An instance whose first content arrives after the note was rejected while it was on its way.
    """
    before = content.arrival < note or content.arrival == content.first
    return content.rejected or (note > 0 and before)
