"""Compares two models on the same studies: where they differ, and whether by more than chance. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.shadow.readings import NOT_MENTIONED, ComparedStudy, ConceptPair

_ABSENT = ConceptPair(drafted=NOT_MENTIONED, signed=NOT_MENTIONED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedConcept:
    """One concept in two models' drafts, compared with the same signed reports.

    only_first, only_second: studies in which that model alone agrees with the signed report. p_value: of the
    exact McNemar test (two-sided); 1 if the models never differ.
    """

    concept: str
    studies: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float


def paired_concepts(first: Iterable[ComparedStudy], second: Iterable[ComparedStudy]) -> list[PairedConcept]:
    """Compare two models on the studies (by `key`) that both drafted; an indeterminate reading is left out.

    key: of the study here, not of the comparison.
    """
    # After a switch and another revision a model may have drafted a study in both roles: the last one counts,
    # once.
    ones: Mapping[int, ComparedStudy] = {study.key: study for study in first}
    others: Mapping[int, ComparedStudy] = {study.key: study for study in second}
    shared = [(study, others[key]) for key, study in ones.items() if key in others]
    concepts = sorted({concept for both in shared for study in both for concept in study.pairs})
    return [_paired(concept, shared) for concept in concepts]


def _paired(concept: str, shared: list[tuple[ComparedStudy, ComparedStudy]]) -> PairedConcept:
    cells = {(one, other): 0 for one in (True, False) for other in (True, False)}
    for study, other in shared:
        right = [_right(one.pairs.get(concept, _ABSENT)) for one in (study, other)]
        if right[0] is not None and right[1] is not None:
            cells[right[0], right[1]] += 1
    first, second = cells[True, False], cells[False, True]
    return PairedConcept(
        concept=concept,
        studies=sum(cells.values()),
        both_right=cells[True, True],
        only_first=first,
        only_second=second,
        both_wrong=cells[False, False],
        p_value=_mcnemar(first, second),
    )


def _mcnemar(first: int, second: int) -> float:
    if first + second == 0:
        return 1.0
    # Imported only when needed: it takes a second, which every process and command would otherwise spend.
    from scipy.stats import binomtest

    return float(binomtest(first, first + second).pvalue)


def _right(pair: ConceptPair) -> bool | None:
    drafted, signed = pair.drafted.positive, pair.signed.positive
    return None if drafted is None or signed is None else drafted == signed
