"""The vocabulary file, its extension by a hospital, and the errors of an invalid one."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.findings.errors import VocabularyError
from model.findings.extract import chexpert_classes, extract_findings
from model.findings.types import Presence
from model.findings.variants import variants
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.vocabulary_check import CHEXPERT
from model.findings.wording_terms import PLACES, TERM_ORDER


def test_vocabulary_covers_the_chexpert_classes(vocabulary: Vocabulary) -> None:
    """Each of the 14 classes has at least one concept that rolls up to it."""
    assert set(CHEXPERT) == set(vocabulary.chexpert_classes)


def test_vocabulary_holds_every_term_of_the_wording(vocabulary: Vocabulary) -> None:
    """Every term of the canonical wording can be read with the vocabulary."""
    assert set(TERM_ORDER) <= set(vocabulary.concepts)
    assert set(PLACES) <= set(vocabulary.locations)


def test_vocabulary_has_no_placeholder_code(vocabulary: Vocabulary) -> None:
    """Each code belongs to an existing scheme or to the project's own, and no code occurs twice."""
    codes = [(c.code.scheme, c.code.value) for c in vocabulary.concepts.values()]
    assert {scheme for scheme, _ in codes} <= {"SCT", "DCM", "99OIFM", "99ECHO"}
    assert len(codes) == len(set(codes))
    assert all("placeholder" not in c.code.meaning for c in vocabulary.concepts.values())


def test_hospital_extends_the_vocabulary(tmp_path: Path) -> None:
    """A new concept is read, and new synonyms are added to the shipped ones."""
    file = tmp_path / "ours.yaml"
    file.write_text(
        "version: ward-3\n"
        "concepts:\n"
        "  scoliosis: {chexpert: null, region: bones, code: [SCT, '298382003', Scoliosis], site: chest}\n"
        "  pneumothorax: {synonyms: [pleural air]}\n"
    )
    ours = load_vocabulary(file)
    found = extract_findings("Mild scoliosis. No pleural air. No PTX.", ours)
    assert [(f.concept, f.presence) for f in found] == [
        ("scoliosis", Presence.PRESENT),
        ("pneumothorax", Presence.ABSENT),
    ]
    assert ours.version.endswith("+ward-3")
    assert chexpert_classes(found, ours) == {"Pneumothorax": Presence.ABSENT}


def test_wrong_vocabulary_lists_every_problem(tmp_path: Path) -> None:
    """All problems are reported at once, each with its place in the file."""
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "colour: red\n"
        "concepts:\n"
        "  a: {region: knee, site: lung, code: [SCT, 1, A]}\n"
        "  b: {chexpert: Everything, region: lungs, site: lung, code: [SCT, '2', B], synonyms: [no, 7]}\n"
        "state_normal: [nothing]\n"
    )
    with pytest.raises(VocabularyError) as caught:
        load_vocabulary(file)
    text = str(caught.value)
    places = (
        "`colour`",
        "concepts.a.region",
        "concepts.a.code",
        "concepts.b.chexpert",
        "concepts.b.synonyms",
    )
    assert all(place in text for place in places)
    assert "state_normal: nothing is not a concept" in text


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "\xff"])
def test_unreadable_vocabulary_is_one_clear_error(tmp_path: Path, content: str) -> None:
    """A file that is not a vocabulary, not YAML or not text is named, with the reason."""
    file = tmp_path / "bad.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(VocabularyError, match=r"bad\.yaml"):
        load_vocabulary(file)


def test_missing_vocabulary_is_one_clear_error(tmp_path: Path) -> None:
    """A path that does not exist is an error that names it."""
    with pytest.raises(VocabularyError, match=r"none\.yaml cannot be used[^/]* cannot be read"):
        load_vocabulary(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("opacity", "opacities"),
        ("mass", "masses"),
        ("edema", "oedema"),
        ("apex", "apices"),
        ("fracture of the rib", "fractures of the rib"),
    ],
)
def test_variants_make_plurals_and_spellings(phrase: str, expected: str) -> None:
    """A term is listed once; its regular variants are generated."""
    assert expected in variants(phrase)
