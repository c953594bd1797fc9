"""Agreement of drafts with signed reports, by concept and group. Pure.

The signed report is the reference. Sensitivity, specificity, PPV and NPV are shares of studies; side and
severity agreement are shares of the studies in which both say that the finding is present and both state a
side or a grade.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.shadow.rates import Rate, rate
from agent.shadow.readings import NOT_MENTIONED, ComparedStudy, ConceptPair

Grouping = Literal["all", "site", "device", "month", "model"]
GROUPINGS: tuple[Grouping, ...] = ("all", "site", "device", "month", "model")
_ABSENT = ConceptPair(drafted=NOT_MENTIONED, signed=NOT_MENTIONED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptAccuracy:
    """The agreement of drafts and signed reports in one concept.

    The four cells count studies; `indeterminate` counts those in which either is indeterminate, which are in
    no cell. kappa: Cohen's; None if it is undefined (one rating throughout).
    """

    concept: str
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    indeterminate: int
    agreement: Rate
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate
    side: Rate
    severity: Rate
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAccuracy:
    """The studies of one group (`name` is empty for all of them) and the accuracy in every concept."""

    grouping: Grouping
    name: str
    studies: int
    # Number of studies without a disagreement in any concept.
    undisputed: Rate
    concepts: tuple[ConceptAccuracy, ...]


_KEYS: dict[Grouping, Callable[[ComparedStudy], str]] = {
    "all": lambda study: "",
    "site": lambda study: study.site,
    "device": lambda study: study.device,
    "month": lambda study: study.month,
    "model": lambda study: study.model,
}


def accuracy(studies: Iterable[ComparedStudy], grouping: Grouping = "all") -> list[GroupAccuracy]:
    """Return the accuracy of each group, in the order of the groups' names."""
    groups: dict[str, list[ComparedStudy]] = defaultdict(list)
    for study in studies:
        groups[_KEYS[grouping](study)].append(study)
    return [_group(grouping, name, groups[name]) for name in sorted(groups)]


def _group(grouping: Grouping, name: str, studies: Sequence[ComparedStudy]) -> GroupAccuracy:
    concepts = sorted({concept for study in studies for concept in study.pairs})
    undisputed = sum(1 for study in studies if not study.disagreements)
    return GroupAccuracy(
        grouping=grouping,
        name=name,
        studies=len(studies),
        undisputed=rate(undisputed, len(studies)),
        concepts=tuple(
            concept_accuracy(concept, [study.pairs.get(concept, _ABSENT) for study in studies])
            for concept in concepts
        ),
    )


def concept_accuracy(concept: str, pairs: Sequence[ConceptPair]) -> ConceptAccuracy:
    """Return the accuracy in one concept over a group's pairs, one for each study."""
    counts = {(drafted, signed): 0 for drafted in (True, False) for signed in (True, False)}
    unsure = 0
    for pair in pairs:
        drafted, signed = pair.drafted.positive, pair.signed.positive
        if drafted is None or signed is None:
            unsure += 1
        else:
            counts[drafted, signed] += 1
    tp, fp, fn, tn = counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    both = [pair for pair in pairs if pair.drafted.positive and pair.signed.positive]
    sided = [pair for pair in both if pair.drafted.sides and pair.signed.sides]
    graded = [pair for pair in both if pair.drafted.severity and pair.signed.severity]
    return ConceptAccuracy(
        concept=concept,
        true_positive=tp,
        false_positive=fp,
        false_negative=fn,
        true_negative=tn,
        indeterminate=unsure,
        agreement=rate(tp + tn, tp + fp + fn + tn),
        sensitivity=rate(tp, tp + fn),
        specificity=rate(tn, tn + fp),
        ppv=rate(tp, tp + fp),
        npv=rate(tn, tn + fn),
        side=rate(sum(pair.same_side for pair in sided), len(sided)),
        severity=rate(sum(pair.drafted.severity is pair.signed.severity for pair in graded), len(graded)),
        kappa=_kappa(tp, fp, fn, tn),
    )


def _kappa(tp: int, fp: int, fn: int, tn: int) -> float | None:
    """Cohen's kappa of a two-by-two table (Cohen 1960)."""
    total = tp + fp + fn + tn
    if total == 0:
        return None
    observed = (tp + tn) / total
    expected = ((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn)) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
