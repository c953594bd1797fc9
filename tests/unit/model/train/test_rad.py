"""The RAD layout: several noisy copies after one prompt and one clean answer."""

from __future__ import annotations

import torch

from model.network.masks import rad_mask
from model.train.rad import loss_weights, noisy_tokens, rad_positions, weighted_cross_entropy, with_copies

PROMPT, RESPONSE, BLOCK = 3, 4, 2


def _may_see(row: int, column: int, copies: int) -> bool:
    """The rule in words, for each cell."""

    def place(index: int) -> tuple[str, int]:
        if index < PROMPT:
            return "prompt", index
        answer, offset = divmod(index - PROMPT, RESPONSE)
        return ("clean" if answer == 0 else f"noisy {answer}"), offset // BLOCK

    (kind, block), (seen, seen_block) = place(row), place(column)
    if kind == "prompt":
        return seen == "prompt" and column <= row
    if seen == "prompt":
        return True
    if kind == "clean":
        return seen == "clean" and seen_block <= block
    if seen == "clean":
        return seen_block < block
    return seen == kind and seen_block == block


def test_rad_mask_with_copies_follows_the_rule_in_every_cell() -> None:
    """A noisy copy sees the prompt, the clean blocks before its own, its own block, and no other copy."""
    for copies in (1, 2, 3):
        mask = with_copies(rad_mask(PROMPT, RESPONSE, BLOCK), PROMPT, RESPONSE, copies)
        length = PROMPT + RESPONSE * (1 + copies)

        expected = [[_may_see(row, column, copies) for column in range(length)] for row in range(length)]

        assert expected == mask.tolist()


def test_noisy_tokens_replace_masked_positions_alone() -> None:
    """Positions that are not masked keep their tokens."""
    answer = torch.tensor([[5, 6, 7, 8]])
    masked = torch.tensor([[[True, False, True, False], [False, True, False, True]]])

    assert noisy_tokens(answer, masked, 1).tolist() == [[1, 6, 1, 8, 5, 1, 7, 1]]


def test_rad_positions_repeat_those_of_the_clean_answer() -> None:
    """A noisy token has the position of its clean counterpart."""
    prompt = torch.arange(2).expand(3, 1, 2)
    answer = torch.arange(2, 5).expand(3, 1, 3)

    assert rad_positions(prompt, answer, 2)[0, 0].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4]


def test_loss_weights_average_over_the_answers_own_length() -> None:
    """A short answer has the same weight as a long one; batch padding has weight 0."""
    weight = torch.ones(2, 1, 4)
    valid = torch.tensor([[True, True, False, False], [True, True, True, True]])

    assert loss_weights(weight, valid).sum(dim=1).tolist() == [1.0, 1.0]


def test_weighted_cross_entropy_has_no_token_shift() -> None:
    """The logit at a position predicts the token at that position."""
    logits = torch.tensor([[9.0, -9.0], [-9.0, 9.0]])

    right = weighted_cross_entropy(logits, torch.tensor([0, 1]), torch.ones(2))
    shifted = weighted_cross_entropy(logits, torch.tensor([1, 0]), torch.ones(2))

    assert float(right) < 1e-6
    assert float(shifted) > 30.0
