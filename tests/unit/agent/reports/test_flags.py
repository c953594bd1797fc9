"""Flags for the reader of a draft: each code once, and nothing lost."""

from __future__ import annotations

import pytest

from agent.reports.flags import INCOMPLETE, NO_FRONTAL, NO_LATERAL, UNKNOWN_VIEW, each_code_once, view_flags
from model.drafts.draft import DraftFlag
from model.drafts.study import View


@pytest.mark.parametrize(
    ("views", "incomplete", "expected"),
    [
        (("frontal", "lateral"), False, ()),
        (("frontal",), False, (NO_LATERAL,)),
        (("lateral",), True, (NO_FRONTAL, INCOMPLETE)),
        (("unknown", "lateral"), False, (UNKNOWN_VIEW,)),
        (("unknown",), False, (UNKNOWN_VIEW, NO_LATERAL)),
    ],
)
def test_flags_say_what_the_reader_must_know(
    views: tuple[View, ...], incomplete: bool, expected: tuple[DraftFlag, ...]
) -> None:
    """A missing or only assumed view, and a study that was drafted early, are flagged."""
    assert view_flags(views, incomplete=incomplete) == expected


def test_flags_of_one_code_become_one_and_lose_no_word() -> None:
    """Each code appears once, in the order of first mention, with every text that was given under it."""
    said = [
        DraftFlag(code="a", text="One."),
        DraftFlag(code="b", text="Two."),
        DraftFlag(code="a", text="Three."),
    ]
    once = (DraftFlag(code="a", text="One. Three."), DraftFlag(code="b", text="Two."))
    assert each_code_once([*said, said[0]]) == once
