"""Low-rank adapters using peft: added to the decoder's layers, disabled for reference outputs, and merged
at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from model.network.backbone import Backbone
from model.train.config import LoraConfig

_ADAPTER = "default"


def add_adapters(backbone: Backbone, config: LoraConfig) -> None:
    """Freezes the network and adds trainable float32 adapters to the chosen projections.

    The second factor starts as zero, so that the network's output is unchanged at first.
    """
    backbone.requires_grad_(False)
    layers = backbone.network.model.language_model.layers
    settings = PeftConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=list(config.targets),
    )
    inject_adapter_in_model(settings, layers, adapter_name=_ADAPTER)


@contextmanager
def without_adapters(module: nn.Module) -> Iterator[None]:
    """Context in which the network behaves as if it had no adapters."""
    adapted = [one for one in module.modules() if isinstance(one, LoraLayer)]
    for one in adapted:
        one.enable_adapters(False)
    try:
        yield
    finally:
        for one in adapted:
            one.enable_adapters(True)


def merged_state(state: Mapping[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """Converts a state with adapters to the plain network's: W + (alpha / rank) B A, computed in float32.

    Args:
        state: with peft's names, `….q_proj.base_layer.weight` and `….q_proj.lora_A.default.weight`.
        config: the adapters' settings.

    Returns:
        The plain names; a merged matrix keeps its base's type.
    """
    merged: dict[str, Tensor] = {}
    scale = config.alpha / config.rank
    for name, tensor in state.items():
        if ".lora_A." in name or ".lora_B." in name:
            continue
        plain = name.replace(".base_layer.", ".")
        down = state.get(name.replace(".base_layer.weight", f".lora_A.{_ADAPTER}.weight"))
        if plain != name and name.endswith(".weight") and down is not None:
            up = state[name.replace(".base_layer.weight", f".lora_B.{_ADAPTER}.weight")]
            change = scale * (up.float() @ down.float())
            merged[plain] = (tensor.float() + change).to(tensor.dtype)
        else:
            merged[plain] = tensor
    return merged
