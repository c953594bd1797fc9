"""Drawn studies: deterministic, with realistic frequencies and a truth without contradictions."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from model.findings.types import Laterality, Presence
from model.phantom import PHANTOM_CONCEPTS, PhantomSpec, draw_spec

STUDIES = 3000
FOCAL = ("consolidation", "atelectasis", "nodule", "mass")


@pytest.fixture(scope="module")
def specs() -> list[PhantomSpec]:
    return [draw_spec(seed) for seed in range(STUDIES)]


def test_draw_spec_gives_the_same_study_for_the_same_seed() -> None:
    """The same seed gives the same study, another seed another one."""
    assert draw_spec(11) == draw_spec(11)
    assert draw_spec(11) != draw_spec(12)


def test_truth_says_of_every_concept_whether_it_is_present(specs: list[PhantomSpec]) -> None:
    """Each phantom concept occurs exactly once in the truth, and is present exactly where it was drawn."""
    for spec in specs:
        concepts = Counter(finding.concept for finding in spec.truth if finding.concept != "no_finding")
        assert concepts == Counter(PHANTOM_CONCEPTS)
        assert {f.concept for f in spec.truth if f.presence is Presence.PRESENT} - {"no_finding"} == {
            f.concept for f in spec.findings
        }


def test_truth_calls_a_study_with_devices_alone_normal(specs: list[PhantomSpec]) -> None:
    """`no_finding` is present exactly where nothing but correctly placed devices is present."""
    devices = {"endotracheal_tube", "central_line", "pacemaker"}
    for spec in specs:
        normal = any(finding.concept == "no_finding" for finding in spec.truth)
        assert normal == ({finding.concept for finding in spec.findings} <= devices)


def test_draw_spec_keeps_the_shares(specs: list[PhantomSpec]) -> None:
    """About 27 % normal, 30 % without a lateral film, a quarter MONOCHROME1, each finding 8 to 20 %."""
    assert 0.24 < sum(not spec.findings for spec in specs) / STUDIES < 0.30
    assert 0.26 < sum(not spec.has_lateral for spec in specs) / STUDIES < 0.34
    assert 0.21 < sum(spec.photometric == "MONOCHROME1" for spec in specs) / STUDIES < 0.29
    counts = Counter(finding.concept for spec in specs for finding in spec.findings)
    assert {
        concept: 0.07 < counts[concept] / STUDIES < 0.21 for concept in PHANTOM_CONCEPTS
    } == dict.fromkeys(PHANTOM_CONCEPTS, True)


def test_draw_spec_gives_focal_findings_places_of_their_own(specs: list[PhantomSpec]) -> None:
    """No two focal opacities share a zone of a lung, and none is on the side of a pneumothorax."""
    for spec in specs:
        focal = [finding for finding in spec.findings if finding.concept in FOCAL]
        places = [(finding.laterality, finding.location) for finding in focal]
        assert len(set(places)) == len(places)
        pneumothorax = spec.find("pneumothorax")
        if pneumothorax is not None:
            assert pneumothorax.laterality not in {finding.laterality for finding in focal}


def test_draw_spec_never_puts_two_findings_of_the_base_on_one_side(specs: list[PhantomSpec]) -> None:
    """Effusion, pneumothorax and a raised diaphragm on one side would hide each other."""
    for spec in specs:
        sides = [
            {Laterality.LEFT, Laterality.RIGHT}
            if finding.laterality is Laterality.BILATERAL
            else {finding.laterality}
            for concept in ("pleural_effusion", "pneumothorax", "elevated_diaphragm")
            if (finding := spec.find(concept)) is not None
        ]
        assert all(one.isdisjoint(other) for one, other in combinations(sides, 2))


def test_malposition_comes_with_its_tube(specs: list[PhantomSpec]) -> None:
    """A malpositioned device is an endotracheal tube in the right main bronchus, and vice versa."""
    for spec in specs:
        tube, wrong = spec.find("endotracheal_tube"), spec.find("malpositioned_device")
        misplaced = tube is not None and tube.location == "right_main_bronchus"
        assert misplaced == (wrong is not None and wrong.location == "right_main_bronchus")
