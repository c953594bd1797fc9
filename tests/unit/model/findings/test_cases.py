"""Texts as they are dictated, with what must be read from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.findings.expectations import Expected, expectations, turned_round, unmet
from model.findings.extract import extract_findings


def cases(file: Path) -> list[Expected]:
    """The texts of a file."""
    return list(expectations(file.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("name", ["characters", "layouts", "sections", "statements"])
def test_shared_cases_are_all_read_right(shared_data: Path, name: str) -> None:
    """Every case of another author stands for a kind, and none is wrong."""
    folder = shared_data.parent / "cases" / "text"
    if not folder.is_dir():
        pytest.skip("the shared cases are not here")
    wrong = [
        (c.text, bad)
        for c in cases(folder / f"{name}.txt")
        if (bad := unmet(c.items, extract_findings(c.text)))
    ]
    assert wrong == []


def test_blind_dictations_are_read_and_none_is_turned_round(repository: Path) -> None:
    """At least 0.97 of 180 statements that were written before the rules; present is never read as absent."""
    listed = cases(repository / "tests" / "data" / "dictations_blind.txt")
    read = [(case, extract_findings(case.text)) for case in listed]
    right = sum(not unmet(case.items, found) for case, found in read)
    assert len(listed) >= 150
    assert right >= 0.97 * len(listed)
    assert [turned for case, found in read if (turned := turned_round(case.items, found))] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kein Pneumothorax, kein Pleuraerguss.", "-pneumothorax -pleural_effusion"),
        ("Herz nicht vergrößert. Kleiner Pleuraerguss links.", "-cardiomegaly +pleural_effusion@L%mild"),
        ("Fragliches Infiltrat rechts basal.", "?consolidation@R#base"),
        (
            "Sin derrame pleural ni neumotórax. Cardiomegalia.",
            "-pleural_effusion -pneumothorax +cardiomegaly",
        ),
        ("左侧少量胸腔积液。未见气胸。", "+pleural_effusion@L%mild -pneumothorax"),
        ("右侧气胸较前减少。心影增大。", "+pneumothorax@R~decreased +cardiomegaly"),
        ("未见胸腔积液及气胸。不除外肺炎。", "-pleural_effusion -pneumothorax ?pneumonia"),
        ("检查所见：左侧胸腔积液。印象：左侧胸腔积液。", "+pleural_effusion@L"),
    ],
)
def test_packs_read_their_language(text: str, expected: str) -> None:
    """German and Spanish are data alone; Chinese has neither spaces nor capitals."""
    assert unmet(expected.split(), extract_findings(text)) == []
