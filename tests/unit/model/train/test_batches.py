"""Which examples form a step, and how they become tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch

from model.train.batches import Sampler
from model.train.stages import Materials


def test_sampler_uses_every_example_once_per_epoch() -> None:
    """No example is drawn twice in an epoch."""
    sampler = Sampler(20, int, 4, seed=1)

    epoch = [sampler.indices(step) for step in range(5)]

    assert list(range(20)) == sorted(int(i) for batch in epoch for i in batch)


def test_sampler_repeats_a_set_that_is_smaller_than_a_batch() -> None:
    """Every batch is full, so that several processes have equal shares."""
    sampler = Sampler(3, int, 8, seed=1)

    assert sorted({int(i) for i in sampler.indices(5)}) == [0, 1, 2]
    assert len(sampler.indices(5)) == 8


def test_sampler_is_a_function_of_seed_and_step() -> None:
    """Step 7 has the same indices whether it is requested first or last; this makes runs resumable."""
    one, other = (Sampler(20, lambda _: 1, 4, seed=3) for _ in range(2))
    in_order = [one.indices(step).tolist() for step in range(12)]

    assert in_order[7] == other.indices(7).tolist()
    assert in_order[2] == other.indices(2).tolist()
    assert in_order[0] != in_order[5]


def test_answers_are_padded_with_labelled_ends_up_to_their_own_last_block(
    make_materials: Callable[[], Materials],
) -> None:
    """The pads of an answer's last block count; pads that only the batch needs do not."""
    collator = make_materials().collator
    eos = collator.config.eos_token_id

    answers = collator.answers([[1, 2, eos], [1, 2, 3, 4, 5, eos]])

    assert [[1, 2, eos, eos, eos, eos, eos, eos], [1, 2, 3, 4, 5, eos, eos, eos]] == answers.tokens.tolist()
    assert answers.valid.sum(dim=1).tolist() == [4, 8]
    assert torch.equal(answers.valid[0], torch.arange(8) < 4)


def test_an_answer_that_does_not_fit_is_cut_and_not_ended(make_materials: Callable[[], Materials]) -> None:
    """A network must not learn to stop where a report was cut: no end-of-text or pad follows."""
    collator = make_materials().collator
    longest = collator.config.max_tokens

    tokens = collator.answer_ids("Findings: " + "No pneumothorax. " * 200)
    answers = collator.answers([tokens])

    assert len(tokens) == longest
    assert collator.config.eos_token_id not in tokens
    assert int(answers.valid.sum()) == longest // 4 * 4
