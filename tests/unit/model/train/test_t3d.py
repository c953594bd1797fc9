"""T3D's states and its discriminative loss."""

from __future__ import annotations

import torch

from model.train.t3d import commit_order, discriminative_loss, fewer_step_state, state_of

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
    """Of two positions committed in the same step the surer one comes first."""
    confidence = torch.tensor([[0.9, 0.6, 0.8, 0.99]])

    assert commit_order(STEPS[:, :4], confidence, 4).tolist() == [[0, 2, 1, 3]]


def test_fewer_step_state_reveals_k_tokens_per_step() -> None:
    """After one step of a decoder of two tokens a step, two are revealed."""
    order = torch.tensor([[0, 2, 1, 3]])

    state = fewer_step_state(order, VALID[:, :4], 4, 2, torch.tensor([[1]]))

    assert state.tolist() == [[False, True, False, True]]


def test_discriminative_loss_falls_when_real_gains_and_fake_loses() -> None:
    """The student is pulled towards the trajectory's tokens and away from factorised samples."""
    zero, one = torch.zeros(1), torch.ones(1)
    start = discriminative_loss(zero, zero, zero, zero, beta=1.0, alpha=0.5)

    assert float(discriminative_loss(one, zero, zero, zero, beta=1.0, alpha=0.5)) < float(start)
    assert float(discriminative_loss(zero, zero, -one, zero, beta=1.0, alpha=0.5)) < float(start)
