"""Probabilities of findings derived from scores, and their reliability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from agent.shadow.calibration import ScoredFinding, fit, reliability


def findings(seed: int, count: int) -> list[ScoredFinding]:
    """Findings with overconfident scores: the truth follows 0.5 logit(score) + an offset per concept."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        concept, offset = (("mass", -1.5), ("nodule", -0.5), ("pleural_effusion", 0.5))[chance.integers(3)]
        score = float(chance.uniform(0.5, 0.9999))
        signed = bool(chance.random() < expit(offset + 0.5 * logit(score)))
        found.append(ScoredFinding(concept=concept, score=score, signed=signed))
    return found


def test_fit_finds_slope_and_offsets_and_is_reliable_on_the_rest() -> None:
    """A fit on one part is well calibrated on another part, while the raw scores are not."""
    calibration = fit(findings(1, 4000))
    assert calibration.slope == pytest.approx(0.5, abs=0.08)
    assert calibration.intercepts["mass"] == pytest.approx(-1.5, abs=0.2)
    rest = findings(2, 4000)
    judged = reliability(calibration, rest)
    assert judged.error < 0.03
    raw = np.mean([one.score for one in rest]) - np.mean([one.signed for one in rest])
    assert raw > 0.15
    assert sum(one.count for one in judged.bins) == judged.count == 4000


def test_fit_lends_a_rare_concept_the_others_offset() -> None:
    """A concept seen only once stays near the mean; an unseen one gets the mean itself."""
    calibration = fit([*findings(3, 600), ScoredFinding(concept="fracture", score=0.9, signed=True)])
    assert abs(calibration.intercepts["fracture"] - calibration.other) < 0.5
    assert calibration.probability("unknown", 0.9) == pytest.approx(
        expit(calibration.other + calibration.slope * logit(0.9))
    )


def test_fit_needs_both_outcomes() -> None:
    """If all findings were signed, nothing can be fitted."""
    with pytest.raises(ValueError, match="needs findings"):
        fit([ScoredFinding(concept="mass", score=0.9, signed=True)] * 5)


def test_probability_of_a_certain_token_stays_below_one() -> None:
    """A score of 1 or 0 does not mean certainty."""
    calibration = fit(findings(4, 500))
    assert 0 < calibration.probability("mass", 0.0) < calibration.probability("mass", 1.0) < 1
    assert reliability(calibration, []).count == 0
