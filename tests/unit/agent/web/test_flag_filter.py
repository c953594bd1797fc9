"""The list's flag filter finds the drafts that carry the flag, and no others."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from agent.foundation.settings.tree import Settings
from agent.objects.films.plausibility.looks import TEXTS
from agent.reports import flags
from agent.web.query import FLAGS, Query
from agent.web.worklist import read_page
from model.drafts.draft import DraftFlag, FlagCode
from tests.unit.agent.drafting.workers import worker

Film = Callable[..., Dataset]


def test_list_offers_every_flag_that_a_draft_can_carry() -> None:
    """The list can filter by every flag that is set anywhere."""
    made = {one.code for one in vars(flags).values() if isinstance(one, DraftFlag)}
    made |= {
        flags.PRIORS_UNAVAILABLE,
        flags.AFTER_VERIFICATION,
        flags.PRIOR_UNREAD_LANGUAGE,
        flags.PATIENT_MERGED,
        *FlagCode,
    }
    assert made - set(FLAGS) == set()


def test_list_offers_every_mark_of_an_image(repository: Path) -> None:
    """The list can also filter by every mark set when images are selected and checked, in whichever file."""
    made = set(TEXTS)
    for path in (repository / "agent" / "objects").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Mark":
                code = next(one.value for one in node.keywords if one.arg == "code")
                made |= {code.value} if isinstance(code, ast.Constant) else set()
    assert "character_set_guessed" in made
    assert made - set(FLAGS) == set()


@pytest.mark.parametrize(
    ("views", "found"),
    [
        (("PA", "LL"), {"low_confidence"}),
        (("PA",), {"low_confidence", "missing_lateral"}),
        (("LL",), {"low_confidence", "missing_frontal"}),
        (("", "LL"), {"low_confidence", "unknown_view"}),
        (("",), {"low_confidence", "unknown_view", "missing_lateral"}),
        (("PA", "AP", "LL"), {"low_confidence", "images_left_out"}),
    ],
)
def test_list_finds_a_draft_by_each_of_its_flags_and_by_no_other(
    house: Any, settings: Settings, reporter: Any, film: Film, views: tuple[str, ...], found: set[str]
) -> None:
    """A draft of the worker is found under the flags that follow from its images."""
    house.queued(*(film(1, number, ViewPosition=view) for number, view in enumerate(views, 1)))
    worker(house, settings, reporter).run_once()
    listed = {flag for flag in FLAGS if read_page(house.database, Query(flag=flag)).count}
    assert found == listed
