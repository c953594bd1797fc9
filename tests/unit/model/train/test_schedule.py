"""The learning rate over a stage's steps."""

from __future__ import annotations

import pytest

from model.train.schedule import rate_factor


def test_rate_rises_linearly_during_the_warmup() -> None:
    """The first step already has a rate above zero; the last step of the warmup has the peak rate."""
    rates = [rate_factor(step, steps=100, warmup=4, decay="cosine") for step in range(4)]

    assert rates == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_rate_falls_to_its_floor_at_the_last_step(decay: str) -> None:
    """Both decays end at the floor and never rise after the warmup."""
    kind = "cosine" if decay == "cosine" else "linear"
    rates = [rate_factor(step, steps=50, warmup=5, decay=kind, floor=0.1) for step in range(4, 50)]

    assert rates == sorted(rates, reverse=True)
    assert pytest.approx(0.1) == rates[-1]


def test_constant_rate_stays() -> None:
    """Without decay the rate stays at its peak."""
    assert rate_factor(99, steps=100, warmup=5, decay="constant") == 1.0
