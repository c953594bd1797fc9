"""Absorbing noise: its shape, its weights, and complementary masks."""

from __future__ import annotations

import torch

from model.train.noise import EPSILON, draw_noise, mask_probability


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_mask_probability_runs_from_epsilon_to_one() -> None:
    """At time 0 almost nothing is masked, at time 1 everything is."""
    ends = mask_probability(torch.tensor([0.0, 1.0]))

    assert torch.allclose(torch.tensor([EPSILON, 1.0]), ends)


def test_noise_weighs_masked_positions_with_the_inverse_of_their_blocks_probability() -> None:
    """In a block all masked positions have the same weight, at least 1; the others have weight 0."""
    noise = draw_noise(4, 24, 8, _generator())

    assert torch.equal(noise.weight > 0, noise.masked)
    for block in noise.weight.view(-1, 8):
        weights = block[block > 0].unique()
        assert len(weights) <= 1
        assert bool((weights >= 1.0).all())


def test_noise_expects_a_total_weight_of_one_per_token() -> None:
    """The weights make the loss an unbiased mean over tokens, whatever the times."""
    noise = draw_noise(4000, 8, 8, _generator())

    assert abs(float(noise.weight.mean()) - 1.0) < 0.05


def test_complementary_noise_masks_every_token_exactly_once() -> None:
    """The second copy is masked where the first is not."""
    noise = draw_noise(3, 16, 4, _generator(), complementary=True)

    assert torch.equal(noise.masked.sum(dim=1), torch.ones(3, 16, dtype=torch.long))


def test_noise_is_the_same_from_the_same_generator() -> None:
    """All randomness comes from the generator."""
    first, second = (draw_noise(2, 16, 8, _generator()) for _ in range(2))

    assert torch.equal(first.masked, second.masked)
    assert torch.equal(first.weight, second.weight)
