"""DCD's weights: late commits count more, an answer's weights have mean 1, and the end has its own term."""

from __future__ import annotations

import torch

from model.train.dcd import eos_weights, step_weights, token_weights

STEPS = torch.tensor([[1, 1, 2, 4], [1, 1, 0, 0]])
VALID = torch.tensor([[True, True, True, True], [True, True, False, False]])


def test_step_weights_grow_with_the_step_of_the_commit() -> None:
    """What the teacher commits late is hard to decode in one step."""
    assert step_weights(STEPS, VALID).tolist() == [[0.5, 0.5, 1.0, 2.0], [1.0, 1.0, 0.0, 0.0]]


def test_token_weights_sum_to_one_per_answer_with_and_without_steps() -> None:
    """Every answer has the same weight in the loss."""
    for weighted in (False, True):
        assert torch.allclose(torch.ones(2), token_weights(STEPS, VALID, weighted=weighted).sum(dim=1))


def test_eos_weights_share_one_among_the_end_tokens() -> None:
    """An answer's end counts as one, however many pads are in its last block."""
    tokens = torch.tensor([[7, 7, 9, 9], [7, 7, 7, 7]])

    assert eos_weights(tokens, torch.ones_like(tokens, dtype=torch.bool), 9).tolist() == [
        [0.0, 0.0, 0.5, 0.5],
        [0.0, 0.0, 0.0, 0.0],
    ]
