"""Drift is detected in real pixels: images of phantoms, original and inverted."""

from __future__ import annotations

import random

import pytest

from benchmarks.shadow_drift import FIRST_SEED, RULE, Looked, first_alarm, looked

POOL, PX = 200, 96


@pytest.fixture(scope="module")
def pool() -> list[Looked]:
    """Images of phantoms, original and inverted, each examined by the checks that drafting uses."""
    return [looked(FIRST_SEED + number, PX) for number in range(POOL)]


@pytest.mark.parametrize("seed", range(20))
def test_inverted_device_is_alarmed_within_fifty_films_and_a_clean_month_is_quiet(
    pool: list[Looked], seed: int
) -> None:
    """Images inverted from some point on raise an alarm; 600 normal ones after the baseline raise none."""
    films = random.Random(seed).choices(pool, k=RULE.baseline + 600)
    assert first_alarm(films, None) is None
    changed = first_alarm(films[: RULE.baseline + 150], RULE.baseline + 100)
    assert changed is not None
    assert changed.event in {"flag:looks_inverted", "flag:any", "input:brightness"}
    assert 100 < changed.after <= 150
