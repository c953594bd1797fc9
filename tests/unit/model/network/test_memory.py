"""The memory budget in numbers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
import torch

from model.errors import OutOfMemoryError
from model.network.cache import BlockCache
from model.network.config import ModelConfig
from model.network.memory import affordable_slots, bytes_per_slot, free_memory

Make = Callable[..., ModelConfig]
LENGTHS = {"longest_prompt": 100, "longest_report": 40}


def test_slot_costs_at_least_its_cache(make_config: Make) -> None:
    """The estimate is an upper bound: more than the cache, growing with length and type size."""
    config = make_config()
    cache = 140 * BlockCache.bytes_per_token(config.shape, torch.float32)
    one = bytes_per_slot(config, torch.float32, **LENGTHS)
    assert one > cache
    assert one > bytes_per_slot(config, torch.bfloat16, **LENGTHS)
    assert one < bytes_per_slot(config, torch.float32, longest_prompt=200, longest_report=40)


def test_slots_fill_the_allowed_fraction(make_config: Make) -> None:
    """As many slots as fit, and no more than requested."""
    config = make_config()
    one = bytes_per_slot(config, torch.float32, **LENGTHS)
    rule = {"fraction": 0.5, **LENGTHS}
    assert affordable_slots(config, torch.float32, free=one * 9, most=32, **rule) == 4
    assert affordable_slots(config, torch.float32, free=one * 9, most=3, **rule) == 3
    with pytest.raises(OutOfMemoryError, match="one report needs"):
        affordable_slots(config, torch.float32, free=one, most=3, **rule)


def test_free_memory_of_this_machine_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the CPU it is the memory that the system reports as available."""
    assert free_memory(torch.device("cpu")) > 2**20
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=12_345, free=1))
    assert free_memory(torch.device("cpu")) == 12_345
