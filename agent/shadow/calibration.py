"""The probability that a drafted finding is in the signed report, from the tokens' likelihoods. Pure.

A finding's score is the least probability of a token in the sentence that states it
(`model.drafts.draft.DraftSentence.confidence`). It is mapped to a probability by logistic regression on its
logit (Platt 1999), with one intercept for each concept; the slope is shared, and the intercepts are shrunk
towards their mean, so that a rare concept borrows strength from the others. A map fitted on one part of the
signed reports is judged on the rest: expected calibration error (Guo et al. 2017) over bins of equal size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

_EDGE = 1e-6
# Strength of the shrinkage of the intercepts towards their mean, and of the slope towards 1.
_INTERCEPTS, _SLOPE = 1.0, 0.1
BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFinding:
    """A finding drafted as present: its concept, its score in 0..1, and whether the signed report has it."""

    concept: str
    score: float
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted map from scores to probabilities.

    intercepts: by concept; `other` serves a concept that the fit has not seen. fitted: number of findings.
    """

    slope: float
    intercepts: Mapping[str, float]
    other: float
    fitted: int

    def probability(self, concept: str, score: float) -> float:
        """Return the probability that the signed report has the finding (0 to 1)."""
        # Imported only when needed: it takes a second, which every process and command would otherwise spend.
        from scipy.special import expit

        intercept = self.intercepts.get(concept, self.other)
        return float(expit(intercept + self.slope * _logit(score)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Findings of similar probability: the mean stated probability, and the share that was signed."""

    count: int
    stated: float
    signed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How reliable probabilities are: the bins, and the expected calibration error (0 to 1)."""

    bins: tuple[ReliabilityBin, ...]
    error: float
    count: int


def _logit(score: float) -> float:
    bounded = min(max(score, _EDGE), 1 - _EDGE)
    return log(bounded / (1 - bounded))


def fit(findings: Sequence[ScoredFinding]) -> Calibration:
    """Fit the map on findings whose signed reports are known.

    Raises:
        ValueError: there is no finding, or the signed reports have all of them, or none.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if len({one.signed for one in findings}) < 2:
        raise ValueError("a calibration needs findings that were signed and findings that were not")
    concepts = sorted({one.concept for one in findings})
    place = {concept: index for index, concept in enumerate(concepts)}
    which = np.array([place[one.concept] for one in findings])
    scores = np.array([_logit(one.score) for one in findings])
    signed = np.array([one.signed for one in findings], dtype=np.float64)

    def loss(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        slope, mean, offsets = values[0], values[1], values[2:]
        linear = mean + offsets[which] + slope * scores
        wrong = expit(linear) - signed
        total = np.logaddexp(0, linear).sum() - (signed * linear).sum()
        total += 0.5 * (_INTERCEPTS * (offsets**2).sum() + _SLOPE * (slope - 1) ** 2)
        gradient = np.empty_like(values)
        gradient[0] = wrong @ scores + _SLOPE * (slope - 1)
        gradient[1] = wrong.sum()
        gradient[2:] = np.bincount(which, wrong, len(concepts)) + _INTERCEPTS * offsets
        return float(total), gradient

    start = np.zeros(2 + len(concepts))
    start[0] = 1.0
    best = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return Calibration(
        slope=float(best[0]),
        intercepts={concept: float(best[1] + best[2 + index]) for concept, index in place.items()},
        other=float(best[1]),
        fitted=len(findings),
    )


def reliability(calibration: Calibration, findings: Sequence[ScoredFinding], bins: int = BINS) -> Reliability:
    """Judge a map on findings that it was not fitted on; bins hold equal numbers of findings."""
    rated = sorted(
        ((calibration.probability(one.concept, one.score), one.signed) for one in findings),
        key=lambda pair: pair[0],
    )
    if not rated:
        return Reliability(bins=(), error=0.0, count=0)
    parts = np.array_split(np.array(rated, dtype=np.float64), min(bins, len(rated)))
    found = tuple(
        ReliabilityBin(count=len(part), stated=float(part[:, 0].mean()), signed=float(part[:, 1].mean()))
        for part in parts
    )
    error = sum(one.count * abs(one.stated - one.signed) for one in found) / len(rated)
    return Reliability(bins=found, error=error, count=len(rated))
