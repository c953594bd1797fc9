"""Candidates for retrieval in the archive."""

from __future__ import annotations

import pytest

from agent.foundation.settings.rules import DEFAULT_ELIGIBILITY, EligibilityRule
from agent.foundation.settings.tree import Settings
from agent.network.query_scu import FoundSeries, ListedStudy
from agent.objects.films.routing.rules import Router, router_of
from agent.retrieve.backfill.candidates import NO_SUCH_MODALITY, judge_study, wanted_series


@pytest.fixture(scope="module")
def router() -> Router:
    """The router of the default settings."""
    return router_of(Settings())


def study(description: str = "", *modalities: str) -> ListedStudy:
    """A listed study."""
    return ListedStudy(study_instance_uid="1.2.3", study_description=description, modalities=modalities)


def series(modality: str = "DX", **texts: str) -> FoundSeries:
    """A series."""
    return FoundSeries(series_instance_uid="1.2.3.4", modality=modality, instances=1, **texts)


@pytest.mark.parametrize(
    ("listed", "trusted", "rule"),
    [
        (study("", "CT", "SR"), False, NO_SUCH_MODALITY),
        (study("CT Thorax", "CT", "DX"), False, None),
        (study("Röntgen Hand", "DX"), False, None),
        (study("Röntgen Hand", "DX"), True, "other-by-description"),
        (study("Hand und Thorax", "DX"), True, None),
        (study("Thorax", "DX"), True, None),
        (study("XYZ 17", "DX"), True, None),
        (study("", "DX"), True, None),
        (study("Knie"), False, None),
    ],
)
def test_studies_that_cannot_hold_a_chest_film_are_left(
    router: Router, listed: ListedStudy, trusted: bool, rule: str | None
) -> None:
    """Modality always excludes a study; its description does where it is trusted and names another region."""
    assert judge_study(listed, router, trust_description=trusted) == rule


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (series(), True),
        (series(""), True),
        (series("CT"), False),
        (series(body_part_examined="HAND"), False),
        (series(body_part_examined="CHEST"), True),
        (series(body_part_examined="QQQ"), True),
        (series(body_part_examined="HEART"), True),
        (series(series_description="Knee ap"), False),
        (series(series_description="Thorax und Abdomen"), True),
        (series(protocol_name="Thorax pa"), True),
    ],
)
def test_series_are_retrieved_unless_they_say_another_region(
    router: Router, one: FoundSeries, wanted: bool
) -> None:
    """A series that its images' own attributes could still make a chest film is retrieved."""
    found = wanted_series([one], router)
    assert (bool(found.series), found.rule is None) == (wanted, wanted)


def test_rule_on_attributes_of_the_image_keeps_series_in(router: Router) -> None:
    """A site's rule that accepts by view position may accept a series whose description would exclude it."""
    by_view = EligibilityRule(name="by-view", decision="accept", view_position=("PA",))
    own = Router(
        rules=(by_view, *DEFAULT_ELIGIBILITY), vocabulary=router.vocabulary, modalities=router.modalities
    )
    assert wanted_series([series(body_part_examined="HAND")], own).series
