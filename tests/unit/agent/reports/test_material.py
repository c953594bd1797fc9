"""Which images a draft is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import update

from agent.database.tables import Instance
from agent.foundation.errors import InstanceMissing, NotAChestStudy
from agent.foundation.settings.tree import Settings
from agent.queue import jobs
from agent.reports.material import LONGEST_INDICATION, gather, indication_of

SETTINGS = Settings()
Film = Callable[..., Dataset]


def chosen(house: Any) -> list[str]:
    """The numbers of the images that the queued job's draft would be made from."""
    (claim,) = jobs.claim(house.database, "w", 60, 1)
    material = gather(house.database, house.store, SETTINGS, claim)
    return [str(image.header.SOPInstanceUID).rsplit(".", 1)[1] for image in material.images]


def test_choice_is_one_frontal_then_one_lateral(house: Any, film: Film) -> None:
    """Of three frontals and two laterals one of each is chosen, the frontal first."""
    views = ("LL", "PA", "AP", "LL", "PA")
    house.queued(*(film(1, number, ViewPosition=view) for number, view in enumerate(views, 1)))
    assert chosen(house) == ["5", "4"]


def test_choice_is_by_acquisition_before_arrival(house: Any, film: Film) -> None:
    """An image that was acquired earlier but arrived later does not replace the newer one."""
    newer = film(1, 1, AcquisitionDate="20260102", AcquisitionTime="080000.5")
    older = film(1, 2, AcquisitionDate="20260101", AcquisitionTime="235959")
    house.queued(newer, older)
    assert chosen(house) == ["1"]


def test_choice_prefers_a_stated_frontal_view(house: Any, film: Film) -> None:
    """An image without a stated view is used only where no image is stated to be frontal."""
    house.queued(film(1, 1, ViewPosition="PA"), film(1, 2, ViewPosition=""))
    assert chosen(house) == ["1"]
    house.queued(film(2, 3, ViewPosition=""), film(2, 4, ViewPosition="RL"))
    assert chosen(house) == ["3", "4"]


def test_choice_leaves_out_what_is_not_eligible(house: Any, film: Film) -> None:
    """A hand image in a chest study is not drafted from."""
    house.queued(film(1, 1), film(1, 2, BodyPartExamined="HAND"))
    assert chosen(house) == ["1"]


def test_choice_takes_the_later_content_of_one_instance(house: Any, film: Film) -> None:
    """Newer content of the same SOP Instance replaces the first."""
    house.queued(film(1, 1, PhotometricInterpretation="MONOCHROME2"))
    house.queued(film(1, 1, PhotometricInterpretation="MONOCHROME1"))
    (claim,) = jobs.claim(house.database, "w", 60, 1)
    (image,) = gather(house.database, house.store, SETTINGS, claim).images
    assert (claim.revision, image.header.PhotometricInterpretation) == (2, "MONOCHROME1")


def test_choice_without_an_eligible_image_is_an_error(house: Any, film: Film) -> None:
    """The rules may have changed since the job was queued."""
    house.queued(film(1, BodyPartExamined="HAND"))
    with pytest.raises(NotAChestStudy):
        chosen(house)


def test_choice_of_a_lost_file_is_an_error(house: Any, film: Film) -> None:
    """A missing file is reported as such, also where another one was purged."""
    house.queued(film(1, 1), film(1, 2))
    with house.database.transaction() as session:
        session.execute(update(Instance).where(Instance.id == 2).values(purged_at=Instance.received_at))
    (claim,) = jobs.claim(house.database, "w", 60, 1)
    for path in house.store.path.rglob("*.dcm"):
        path.unlink()
    with pytest.raises(InstanceMissing):
        gather(house.database, house.store, SETTINGS, claim)


def test_choice_after_the_purge_says_that_the_images_were_purged(house: Any, film: Film) -> None:
    """A retry of an old job is not a matter of the rules: the study has to be sent again."""
    house.queued(film(1))
    with house.database.transaction() as session:
        session.execute(update(Instance).values(purged_at=Instance.received_at))
    with pytest.raises(InstanceMissing, match="purged"):
        chosen(house)


def test_indication_is_the_closest_to_the_question(film: Film) -> None:
    """The requested procedure's reason comes before the study's, and that before the admitting diagnoses."""
    inner = Dataset()
    inner.ReasonForTheRequestedProcedure = "Dyspnoea,\r\n  fever"
    header = film(1, ReasonForStudy="Cough", RequestAttributesSequence=[inner])
    assert indication_of([header]) == "Dyspnoea, fever"
    assert indication_of([film(1, ReasonForStudy="Cough", AdmittingDiagnosesDescription="X")]) == "Cough"
    assert indication_of([film(1), film(1, 2, AdditionalPatientHistory="Smoker")]) == "Smoker"
    assert indication_of([film(1)]) == ""


def test_indication_is_bounded(film: Film) -> None:
    """A very long text in the header does not fill the prompt."""
    assert len(indication_of([film(1, AdditionalPatientHistory="word " * 2000)])) == LONGEST_INDICATION
