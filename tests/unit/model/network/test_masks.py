"""Every cell of the masks against the rule stated in words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.network.config import PromptAttention
from model.network.masks import (
    block_mask,
    causal_mask,
    causal_step_mask,
    fused_mask,
    prefill_block_mask,
    prompt_mask,
    rad_mask,
    rad_mask_batch,
)

# Prompt of 3, response of 4 in blocks of 2, clean then noisy: rows look at columns, x = attends.
#   columns    p p p  a a b b  A A B B      (a, b clean blocks; A, B their noisy copies)
DRAWN = """
p            x . .  . . . .  . . . .
p            x x .  . . . .  . . . .
p            x x x  . . . .  . . . .
a            x x x  x x . .  . . . .
a            x x x  x x . .  . . . .
b            x x x  x x x x  . . . .
b            x x x  x x x x  . . . .
A            x x x  . . . .  x x . .
A            x x x  . . . .  x x . .
B            x x x  x x . .  . . x x
B            x x x  x x . .  . . x x
"""


def drawn(text: str) -> torch.Tensor:
    return torch.tensor([[cell == "x" for cell in line.split()[1:]] for line in text.strip().splitlines()])


def test_rad_mask_is_the_drawing() -> None:
    """The small mask drawn by hand equals the mask used in training."""
    assert torch.equal(drawn(DRAWN), rad_mask(3, 4, 2))


@given(
    prompt=st.integers(1, 6),
    blocks=st.integers(1, 4),
    size=st.integers(1, 4),
    attention=st.sampled_from(PromptAttention),
)
def test_rad_mask_follows_the_rule_in_words(
    prompt: int, blocks: int, size: int, attention: PromptAttention
) -> None:
    """prompt -> prompt; clean j -> prompt, clean <= j; noisy j -> prompt, clean < j, noisy j."""
    response = blocks * size
    mask = rad_mask(prompt, response, size, attention)

    def kind(index: int) -> tuple[str, int]:
        if index < prompt:
            return "prompt", index if attention is PromptAttention.CAUSAL else index // size
        return ("clean", "noisy")[(index - prompt) // response], (index - prompt) % response // size

    for row in range(prompt + 2 * response):
        for column in range(prompt + 2 * response):
            match kind(row), kind(column):
                case ("prompt", i), ("prompt", j):
                    expected = j <= i
                case (_, _), ("prompt", _):
                    expected = kind(row)[0] != "prompt"
                case ("clean", i), ("clean", j):
                    expected = j <= i
                case ("noisy", i), ("clean", j):
                    expected = j < i
                case ("noisy", i), ("noisy", j):
                    expected = i == j
                case _:
                    expected = False
            assert expected == bool(mask[row, column]), (row, column)


def test_rad_mask_of_a_batch_is_each_rows_own_mask() -> None:
    """Padding changes no other row, is seen by none, and sees only itself."""
    prompt = torch.tensor([[True, True, True, False], [True, True, True, True]])
    response = torch.tensor([[True, True, True, True], [True, True, False, False]])
    mask = rad_mask_batch(prompt, response, 2)
    for row, (p, r) in enumerate([(3, 4), (4, 2)]):
        keep = torch.cat([prompt[row], response[row], response[row]])
        assert torch.equal(rad_mask(p, r, 2), mask[row][keep][:, keep])
        padding = (~keep).nonzero().squeeze(1)
        assert torch.equal(torch.eye(12, dtype=torch.bool)[padding], mask[row][padding])
        assert not mask[row][keep][:, padding].any()


def test_prompt_mask_is_causal_or_causal_by_block() -> None:
    """Block-causal prompt rows also see the rest of their block."""
    valid = torch.ones(1, 3, dtype=torch.bool)
    causal = drawn("p x . .\np x x .\np x x x")
    block = drawn("p x x .\np x x .\np x x x")
    assert torch.equal(causal, prompt_mask(valid, PromptAttention.CAUSAL, 2)[0])
    assert torch.equal(causal, causal_mask(valid)[0])
    assert torch.equal(block, prompt_mask(valid, PromptAttention.BLOCK, 2)[0])


def test_prefill_with_a_block_leaves_the_prompt_rows_alone() -> None:
    """The block's rows see the prompt (not its padding) and each other; the prompt never sees the block."""
    valid = torch.tensor([[True, True, False]])
    expected = drawn(
        """
        p x . .  . .
        p x x .  . .
        _ . . x  . .
        A x x .  x x
        A x x .  x x
        """
    )
    assert torch.equal(expected, prefill_block_mask(valid, PromptAttention.CAUSAL, 2)[0])


@pytest.mark.parametrize("start", [0, 3])
def test_fused_mask_is_two_block_masks(start: int) -> None:
    """Clean rows see [0, s + B), masked rows see [0, s + 2B); slots have their own s."""
    starts = torch.tensor([start, 1])
    mask = fused_mask(starts, 2, 9)
    for slot, s in enumerate(starts.tolist()):
        for row in range(4):
            visible = s + (2 if row < 2 else 4)
            assert [column < visible for column in range(9)] == mask[slot, row].tolist()
    assert torch.equal(block_mask(starts, 2, 9), mask[:, :2])


def test_causal_step_sees_itself_and_what_came_before() -> None:
    """Row r of a step sees the cached tokens and the rows of the step up to r."""
    mask = causal_step_mask(torch.tensor([2]), 2, 5)
    assert torch.equal(drawn("t x x x . .\nt x x x x ."), mask[0])


def test_fused_step_sees_what_training_showed() -> None:
    """Rows of a fused step are the RAD rows of clean block n-1 and noisy block n, without the noisy past."""
    prompt, size, blocks = 3, 2, 3
    training = rad_mask(prompt, size * blocks, size)
    for n in range(1, blocks):
        step = fused_mask(torch.tensor([prompt + (n - 1) * size]), size, prompt + (n + 1) * size)[0]
        clean = slice(prompt + (n - 1) * size, prompt + n * size)
        noisy = slice(prompt + (blocks + n) * size, prompt + (blocks + n + 1) * size)
        past = prompt + n * size
        assert torch.equal(training[clean, :past], step[:size, :past])
        assert torch.equal(training[noisy, :past], step[size:, :past])
        assert torch.equal(training[noisy, noisy], step[size:, past:])
        assert not step[:size, past:].any()


def test_prompt_mask_of_a_begun_report_goes_by_blocks() -> None:
    """After a causal prompt of one or three tokens, answered blocks of two see themselves and the past."""
    valid = torch.tensor([[True] * 5, [True] * 5])
    mask = prompt_mask(valid, PromptAttention.CAUSAL, 2, torch.tensor([4, 2]))
    assert torch.equal(mask[0], drawn("p x . . . .\na x x x . .\na x x x . .\nb x x x x x\nb x x x x x"))
    assert torch.equal(mask[1], drawn("p x . . . .\np x x . . .\np x x x . .\na x x x x x\na x x x x x"))
