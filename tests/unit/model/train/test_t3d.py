"""T3D's states and its discriminative loss."""

from __future__ import annotations

import torch

from model.train.config import T3dConfig
from model.train.t3d import (
    commit_order,
    discriminative_loss,
    fewer_step_state,
    sample_means,
    state_of,
)

STEPS = torch.tensor([[1, 2, 2, 3, 1, 1, 1, 1]])
VALID = torch.ones_like(STEPS, dtype=torch.bool)


def test_state_masks_what_the_trajectory_had_not_yet_committed() -> None:
    """A state is a moment of the trajectory: no position is masked while a later commit is revealed."""
    for seed in range(20):
        state = state_of(STEPS, VALID, 4, torch.Generator().manual_seed(seed))

        assert bool(state[0, 4:].all())
        masked, revealed = STEPS[0, :4][state[0, :4]], STEPS[0, :4][~state[0, :4]]
        assert len(masked) > 0
        assert not len(revealed) or int(revealed.max()) < int(masked.min())


def test_commit_order_ranks_by_step_then_by_confidence() -> None:
    """Of two positions committed in the same step, the more confident one comes first."""
    confidence = torch.tensor([[0.9, 0.6, 0.8, 0.99]])

    assert commit_order(STEPS[:, :4], confidence, 4).tolist() == [[0, 2, 1, 3]]


def test_fewer_step_state_reveals_k_tokens_per_step() -> None:
    """After one step of a decoder with two tokens per step, two tokens are revealed."""
    order = torch.tensor([[0, 2, 1, 3]])

    state = fewer_step_state(order, VALID[:, :4], 4, 2, torch.tensor([[1]]))

    assert state.tolist() == [[False, True, False, True]]


def test_discriminative_loss_falls_when_real_gains_and_fake_loses() -> None:
    """The student is pulled towards the trajectory's tokens and away from factorised samples."""
    zero, one = torch.zeros(1), torch.ones(1)
    start = discriminative_loss(zero, zero, zero, zero, beta=1.0, alpha=0.5)

    assert float(discriminative_loss(one, zero, zero, zero, beta=1.0, alpha=0.5)) < float(start)
    assert float(discriminative_loss(zero, zero, -one, zero, beta=1.0, alpha=0.5)) < float(start)


def test_log_probabilities_are_means_over_a_samples_masked_tokens() -> None:
    """A long report does not weigh more than a short one; a sample without masked tokens gives 0."""
    masked = torch.tensor([[True, True, False], [False, False, False], [False, False, True]])

    assert sample_means(torch.tensor([-1.0, -3.0, -5.0]), masked).tolist() == [-2.0, 0.0, -5.0]


def test_defaults_are_the_published_settings() -> None:
    """beta 0.1, alpha 0.5, path weight 0.2, k = 4."""
    settings = T3dConfig(steps=1, batch=1, rate=1e-3)

    expected = (0.1, 0.5, 0.2, 4)
    assert expected == (settings.beta, settings.alpha, settings.path_weight, settings.tokens_per_step)
