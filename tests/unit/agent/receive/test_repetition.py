"""The same image in other bytes is not new content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import RLELossless
from sqlalchemy import select, update

from agent.database.session import Database
from agent.database.tables import AuditEvent, Instance, Job, Study
from agent.foundation.errors import InvalidTransition, NotFound
from agent.foundation.settings.tree import Settings, StudySettings
from agent.objects.header import EXPLICIT_BIG, IMPLICIT_LITTLE, read_header
from agent.objects.store import InstanceStore, part10_head
from agent.queue.operator import accept_newest
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from tests.support.films import chest_film, chest_pixels
from tests.support.operator_context import operator_context_of

EXPLICIT = "1.2.840.10008.1.2.1"
SETTINGS = Settings(studies=StudySettings(quiet_time_s=60, force_after_s=600))


class Site:
    """A store, an intake, and the ticks of completion."""

    def __init__(self, database: Database, store: InstanceStore) -> None:
        self.database, self.store = database, store
        self.intake = Intake(database, SETTINGS.studies)

    def send(self, film: Dataset, syntax: str = EXPLICIT) -> None:
        """Receive one film in a transfer syntax."""
        implicit, little = syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG
        buffer = DicomIO(BytesIO())
        buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
        write_dataset(buffer, film)
        data = buffer.parent.getvalue()
        header = read_header(data, syntax)
        head = part10_head(header.sop_class_uid, header.sop_instance_uid, syntax)
        self.intake.receive(header, self.store.put((head, data)), "CR")

    def tick(self) -> list[tuple[str, str | None]]:
        """Complete the quiet studies; return states and codes."""
        now = datetime.now(UTC) + timedelta(seconds=120)
        done = complete_due_studies(self.database, SETTINGS, self.store, now)
        return [(one.state.value, one.code) for one in done]

    def drafted(self, state: str = "DELIVERED") -> None:
        """Receive the first film, and put its job into a state."""
        self.send(chest_film())
        assert self.tick() == [("QUEUED", None)]
        with self.database.transaction() as session:
            session.execute(update(Job).values(state=state))

    def revision(self) -> tuple[int, str | None]:
        """The study's revision and conflict."""
        with self.database.reading() as session:
            study = session.scalars(select(Study)).one()
            return study.revision, study.conflict


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    """An empty site."""
    return Site(database, InstanceStore(tmp_path / "instances", 0))


def rle() -> Dataset:
    """The film, compressed without loss."""
    film = chest_film()
    film.compress(RLELossless, chest_pixels(), generate_instance_uid=False)
    return film


@pytest.mark.parametrize("kind", ["implicit", "rle", "coerced", "name-padded"])
def test_same_image_in_other_bytes_makes_no_second_draft(site: Site, kind: str) -> None:
    """Another transfer syntax or coerced attributes make no revision, and both digests stay on record."""
    site.drafted()
    if kind == "implicit":
        site.send(chest_film(), IMPLICIT_LITTLE)
    elif kind == "rle":
        site.send(rle(), str(RLELossless))
    elif kind == "coerced":
        site.send(chest_film(InstitutionName="ARCHIVE", ReferringPhysicianName="X^Y"))
    else:
        site.send(chest_film(PatientName="Doe^Jane^^^"))
    assert site.tick() == [("CANCELED", "same-images")]
    assert site.revision() == (1, None)
    with site.database.reading() as session:
        rows = session.execute(select(Instance.sha256, Instance.revision)).all()
    assert len({row.sha256 for row in rows}) == 2
    assert {row.revision for row in rows} == {1}


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "P2"},
        {"ViewPosition": "LL"},
        {"AccessionNumber": "A2"},
        {"PixelData": bytes([1]) + chest_pixels().tobytes()[1:]},
        {"WindowCenter": "40", "WindowWidth": "80"},
    ],
)
def test_image_that_differs_in_what_matters_is_a_new_revision(site: Site, changes: dict[str, object]) -> None:
    """An image that differs by one grey level, in view, order or patient is not the same."""
    site.drafted()
    site.send(chest_film(**changes))
    (done,) = site.tick()
    assert done[1] != "same-images"
    assert site.revision()[0] == 2


def test_image_of_a_failed_revision_is_tried_again(site: Site) -> None:
    """Users are advised to send it again in another transfer syntax; that image must not be dropped."""
    site.drafted("FAILED")
    site.send(rle(), str(RLELossless))
    assert site.tick() == [("QUEUED", None)]


def test_new_image_after_a_repetition_is_the_next_revision(site: Site) -> None:
    """The number that the repetition had is free for new images."""
    site.drafted()
    site.send(rle(), str(RLELossless))
    site.tick()
    site.send(chest_film(SOPInstanceUID="1.2.3.1.2"))
    assert site.tick() == [("QUEUED", None)]
    assert site.revision()[0] == 2


def test_repeated_study_of_several_images_makes_no_second_draft(site: Site) -> None:
    """Each image begins a revision that the next one supersedes; all together equal the drafted one."""
    for uid in ("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"):
        site.send(chest_film(SOPInstanceUID=uid))
    assert site.tick() == [("QUEUED", None)]
    with site.database.transaction() as session:
        session.execute(update(Job).values(state="DELIVERED"))
    for again in (EXPLICIT_BIG, IMPLICIT_LITTLE):
        for uid in ("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"):
            site.send(chest_film(SOPInstanceUID=uid, InstitutionName="ARCHIVE"), again)
        assert site.tick() == [("CANCELED", "same-images")]
        assert site.revision() == (1, None)
    site.send(chest_film(SOPInstanceUID="1.2.3.1.4"))
    assert site.tick() == [("QUEUED", None)]
    assert site.revision() == (2, None)


def test_repeated_study_with_one_new_image_is_drafted(site: Site) -> None:
    """A superseded revision is not a draft: the images that it added count as new."""
    site.drafted()
    site.send(chest_film(SOPInstanceUID="1.2.3.1.2"))
    site.send(rle(), str(RLELossless))
    assert site.tick() == [("QUEUED", None)]


def test_correction_of_attributes_leaves_no_conflict(site: Site) -> None:
    """For the same pixels under a corrected order and name the newest content counts, without a conflict."""
    site.drafted()
    site.send(chest_film(AccessionNumber="A2", PatientName="DOE^JANET"))
    assert site.revision() == (2, "instance-conflict")
    assert site.tick() == [("QUEUED", None)]
    assert site.revision() == (2, None)


def test_second_picture_under_one_uid_stays_a_conflict(site: Site) -> None:
    """The archive may show the other image, so a later correction of attributes does not end the conflict."""
    site.drafted()
    site.send(chest_film(PixelData=chest_pixels()[:, ::-1].tobytes()))
    assert site.tick() == [("QUEUED", None)]
    site.send(chest_film(PixelData=chest_pixels()[:, ::-1].tobytes(), AccessionNumber="A2"))
    assert site.tick() == [("QUEUED", None)]
    assert site.revision() == (3, "instance-conflict")


def test_image_that_could_not_be_decoded_is_no_second_picture(site: Site) -> None:
    """Once the image is sent again as advised, the study has no conflict left."""
    broken = rle()
    broken.PixelData = encapsulate([b"\xff" * 64])
    site.send(broken, str(RLELossless))
    site.tick()
    with site.database.transaction() as session:
        session.execute(update(Job).values(state="FAILED"))
    site.send(chest_film())
    assert site.tick() == [("QUEUED", None)]
    assert site.revision() == (2, None)


def test_second_picture_is_decided_by_a_person_with_a_reason(site: Site) -> None:
    """The command ends the conflict, once, and the decision is audited."""
    site.drafted()
    site.send(chest_film(PixelData=chest_pixels()[::-1].tobytes()))
    site.tick()
    context = operator_context_of(site.database, site.store)
    with pytest.raises(InvalidTransition, match="reason"):
        accept_newest(context, "1.2.3", reason=" ", actor="cli:me")
    with pytest.raises(NotFound):
        accept_newest(context, "1.2.4", reason="resent by the modality", actor="cli:me")
    accept_newest(context, "1.2.3", reason="resent by the modality", actor="cli:me")
    assert site.revision() == (2, None)
    with site.database.reading() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "conflict-resolved")).one()
    assert (event.actor, event.details) == (
        "cli:me",
        {"kind": "instance", "reason": "resent by the modality"},
    )
    with pytest.raises(InvalidTransition, match="no instance conflict"):
        accept_newest(context, "1.2.3", reason="again", actor="cli:me")
