"""Dictated texts with the findings that must be read from them."""

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
    """Every case by another author represents a kind of text, and all are read correctly."""
    folder = shared_data.parent / "cases" / "text"
    if not folder.is_dir():
        pytest.skip("the shared cases are not here")
    wrong = [
        (c.text, bad)
        for c in cases(folder / f"{name}.txt")
        if (bad := unmet(c.items, extract_findings(c.text)))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "count", "share"),
    [
        ("dictations_blind.txt", 180, 0.98),
        ("dictations_blind_unread.txt", 168, 0.98),
        ("dictation_kinds.txt", 510, 1.0),
        ("dictations_blind_kinds.txt", 159, 0.88),
        ("dictations_blind_zh.txt", 84, 0.97),
        ("dictations_blind_de.txt", 70, 1.0),
        ("dictations_blind_es.txt", 71, 0.97),
        ("dictations_blind_rounds.txt", 702, 0.97),
    ],
)
def test_dictations_are_read_and_none_is_turned_round(
    repository: Path, name: str, count: int, share: float
) -> None:
    """In the blind sets and the corrected kinds no finding has its presence reversed."""
    listed = cases(repository / "tests" / "data" / name)
    read = [(case, extract_findings(case.text)) for case in listed]
    wrong = [case.text for case, found in read if unmet(case.items, found)]
    assert len(listed) >= count
    assert len(wrong) <= (1 - share) * len(listed), wrong
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
    """German and Spanish need only data; Chinese has neither spaces nor capitals."""
    assert unmet(expected.split(), extract_findings(text)) == []
