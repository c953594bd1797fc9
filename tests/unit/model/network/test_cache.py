"""The cache with a fake network: one layer whose keys are the token ids."""

from __future__ import annotations

import torch
from torch import Tensor

from model.network.backbone import NetworkShape
from model.network.cache import BlockCache
from model.network.config import tiny_network
from model.network.masks import block_mask, fused_mask

SHAPE = NetworkShape.of(
    tiny_network(vocab_size=300, image_token_id=5, eos_token_id=2, hidden=2, heads=1, kv_heads=1, layers=1)
)


class Fake:
    """A network that stores token ids as keys and reports, for each row, the tokens that it sees."""

    def __init__(self, slots: int, capacity: int) -> None:
        self.cache = BlockCache(
            SHAPE, slots=slots, capacity=capacity, dtype=torch.float32, device=torch.device("cpu")
        )

    def prefill(self, tokens: list[list[int]], slots: Tensor | slice, width: int) -> None:
        self.cache.prefill(slots, width).update(*self._states(tokens), 0)

    def step(self, tokens: list[list[int]], starts: list[int], mask: Tensor) -> list[list[list[int]]]:
        states = self._states(tokens)
        keys, values = self.cache.step(torch.tensor(starts), len(tokens[0])).update(*states, 0)
        assert torch.equal(keys, values)
        return [[keys[slot, 0, row, 0].int().tolist() for row in rows] for slot, rows in enumerate(mask)]

    @staticmethod
    def _states(tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        keys = torch.tensor(tokens, dtype=torch.float32)[:, None, :, None].expand(-1, 1, -1, 2)
        return keys, keys


def test_fused_steps_leave_the_committed_report_in_the_cache() -> None:
    """Masks (0) are overwritten by the commit of the next step; no row sees a stale one."""
    fake = Fake(slots=1, capacity=12)
    fake.prefill([[1, 2, 3]], slice(None), 3)
    first = fake.step([[4, 5, 0, 0]], [3], fused_mask(torch.tensor([3]), 2, 12))
    assert first[0] == [[1, 2, 3, 4, 5]] * 2 + [[1, 2, 3, 4, 5, 0, 0]] * 2
    second = fake.step([[6, 7, 0, 0]], [5], fused_mask(torch.tensor([5]), 2, 12))
    assert second[0] == [[1, 2, 3, 4, 5, 6, 7]] * 2 + [[1, 2, 3, 4, 5, 6, 7, 0, 0]] * 2


def test_slots_have_their_own_offsets() -> None:
    """Two reports of different lengths advance in one step without seeing each other."""
    fake = Fake(slots=2, capacity=8)
    fake.prefill([[1, 2, 9], [3, 4, 5]], slice(None), 3)  # the first prompt has one column of padding
    seen = fake.step([[6, 6], [7, 7]], [2, 3], block_mask(torch.tensor([2, 3]), 2, 8))
    assert seen[0] == [[1, 2, 6, 6]] * 2
    assert seen[1] == [[3, 4, 5, 7, 7]] * 2


def test_a_freed_slot_takes_a_shorter_prompt() -> None:
    """The new prompt never sees what the previous report left in the slot."""
    fake = Fake(slots=2, capacity=8)
    fake.prefill([[1, 2, 3, 4], [5, 6, 7, 8]], slice(None), 4)
    fake.prefill([[9]], torch.tensor([1]), 1)
    seen = fake.step([[0, 0], [0, 0]], [4, 1], block_mask(torch.tensor([4, 1]), 2, 8))
    assert seen[0] == [[1, 2, 3, 4, 0, 0]] * 2
    assert seen[1] == [[9, 0, 0]] * 2


def test_prefill_keeps_the_prompt_and_drops_the_block_behind_it() -> None:
    """Only `width` columns are stored; attention sees the fresh keys, including the block's."""
    fake = Fake(slots=1, capacity=6)
    keys, values = fake._states([[1, 2, 0, 0]])
    seen, _ = fake.cache.prefill(slice(None), 2).update(keys, values, 0)
    assert seen[0, 0, :, 0].int().tolist() == [1, 2, 0, 0]
    assert fake.cache.keys[0, 0, 0, :, 0].int().tolist() == [1, 2, 0, 0, 0, 0]


def test_memory_of_a_token_counts_keys_and_values_of_every_layer() -> None:
    """Bytes per token times slots times capacity is the size that the cache allocates."""
    cache = BlockCache(SHAPE, slots=3, capacity=5, dtype=torch.bfloat16, device=torch.device("cpu"))
    assert cache.keys.nbytes + cache.values.nbytes == 15 * BlockCache.bytes_per_token(SHAPE, torch.bfloat16)
