"""Finds fields of `config.json` that the shapes of the stored tensors contradict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TEXT, _TOWER = "model.language_model.", "model.visual."
# A field, the tensor that shows it, and the axis.
_AXES = (
    ("vocab_size", f"{_TEXT}embed_tokens.weight", 0),
    ("hidden_size", f"{_TEXT}embed_tokens.weight", 1),
    ("intermediate_size", f"{_TEXT}layers.0.mlp.gate_proj.weight", 0),
    ("vision_config.hidden_size", f"{_TOWER}patch_embed.proj.weight", 0),
    ("vision_config.temporal_patch_size", f"{_TOWER}patch_embed.proj.weight", 2),
    ("vision_config.patch_size", f"{_TOWER}patch_embed.proj.weight", 3),
    ("vision_config.intermediate_size", f"{_TOWER}blocks.0.mlp.gate_proj.weight", 0),
    ("vision_config.out_hidden_size", f"{_TOWER}merger.mlp.2.weight", 0),
)
# A tensor that every layer has, with a placeholder for the layer's number.
_LAYERS = (
    ("num_hidden_layers", f"{_TEXT}layers.", ".input_layernorm.weight"),
    ("vision_config.depth", f"{_TOWER}blocks.", ".norm1.weight"),
)


def size_conflicts(network: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Fields whose value the tensors contradict, with both values.

    network: the content of `config.json`. shapes: of the stored tensors, by canonical name.
    """
    text: Mapping[str, Any] = network.get("text_config") or network
    fields = {**text, **{f"vision_config.{name}": value for name, value in network["vision_config"].items()}}
    return [
        f"{name} is {fields[name]}, but the weights have {stored}"
        for name, stored in _stored(fields, shapes)
        if name in fields and fields[name] != stored
    ]


def _stored(fields: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, int]]:
    """The value of each field according to the tensors."""
    for name, tensor, axis in _AXES:
        if axis < len(shape := shapes.get(tensor, ())):
            yield name, shape[axis]
    for name, before, after in _LAYERS:
        if layers := _count(shapes, before, after):
            yield name, layers
    keys = shapes.get(f"{_TEXT}layers.0.self_attn.k_proj.weight")
    width = fields["hidden_size"] // fields["num_attention_heads"]
    if keys and keys[0] % width == 0:
        yield "num_key_value_heads", keys[0] // width


def _count(names: Iterable[str], before: str, after: str) -> int:
    """One more than the largest number between the two parts of a name; 0 if there is none."""
    pattern = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    found = (pattern.fullmatch(name) for name in names)
    return max((int(one[1]) + 1 for one in found if one), default=0)
