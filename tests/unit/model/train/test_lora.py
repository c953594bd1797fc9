"""Adapters: they start without effect, can be switched off, and merge into equivalent weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.train.config import LoraConfig
from model.train.lora import add_adapters, merged_state, without_adapters

CONFIG = LoraConfig(rank=3, alpha=5.0)


def _say(backbone: Backbone) -> Tensor:
    ids = torch.arange(6)[None]
    positions = torch.arange(6).expand(3, 1, 6)
    mask = torch.ones(1, 6, 6, dtype=torch.bool).tril()
    with torch.no_grad():
        logits: Tensor = backbone(backbone.embed(ids), positions, mask)
    return logits


def test_merged_network_equals_the_unmerged_one(
    make_config: Callable[..., ModelConfig], make_backbone: Callable[[ModelConfig, int], Backbone]
) -> None:
    """In float32 the merged network equals network plus adapters; untrained adapters change nothing."""
    config = make_config()
    plain, adapted = make_backbone(config, 1), make_backbone(config, 1)
    start = _say(plain)
    add_adapters(adapted, CONFIG)
    torch.testing.assert_close(_say(adapted), start)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)

    said = _say(adapted)
    plain.network.load_state_dict(merged_state(adapted.network.state_dict(), CONFIG))

    assert not torch.allclose(said, start, atol=0.1)
    torch.testing.assert_close(_say(plain), said, rtol=1e-4, atol=1e-4)
    with without_adapters(adapted):
        torch.testing.assert_close(_say(adapted), start)


def test_only_adapters_are_trained(
    make_config: Callable[..., ModelConfig], make_backbone: Callable[[ModelConfig, int], Backbone]
) -> None:
    """All weights of the network itself are frozen."""
    backbone = make_backbone(make_config(), 1)

    add_adapters(backbone, CONFIG)

    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 2 * 7  # two factors, two layers, seven projections
    assert all("lora_" in name for name in trained)
