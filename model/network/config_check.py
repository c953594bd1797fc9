"""Checks the types and ranges of the values in a checkpoint's configuration files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

MODEL_TYPE = "qwen2_5_vl"
_LARGEST = 10_000_000  # of any size; a larger one is an error, and building its skeleton would take minutes
_MOST_LAYERS = 1_000


def type_problems(values: Mapping[str, Any], types: Mapping[str, Any]) -> list[str]:
    """Returns the values of a JSON object whose type is not the declared one; booleans do not count as
    numbers.
    """
    problems = []
    for name, value in values.items():
        try:
            TypeAdapter(types[name]).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            problems.append(f"{name} is {shortened(value)}: {error.errors()[0]['msg'].lower()}")
    return problems


def size_problems(sizes: Mapping[str, Any], tokens: Mapping[str, Any]) -> list[str]:
    """What is wrong with a network's sizes.

    sizes: by name as `config.json` has it, each a whole number of at least 1. tokens: ids, from 0.
    """
    wrong = [
        f"{name} is {shortened(value)}; it must be a whole number from {least} to {_LARGEST}"
        for least, values in ((1, sizes), (0, tokens))
        for name, value in values.items()
        if not is_whole(value, least)
    ]
    if wrong:
        return wrong
    wrong += [
        f"{name} is {sizes[name]}, more than {_MOST_LAYERS}"
        for name in ("num_hidden_layers", "depth")
        if sizes[name] > _MOST_LAYERS
    ]
    for whole, part in (
        ("hidden_size", "num_attention_heads"),
        ("num_attention_heads", "num_key_value_heads"),
        ("vision hidden_size", "vision num_heads"),
    ):
        if sizes[whole] % sizes[part]:
            wrong.append(f"{whole} {sizes[whole]} is not a multiple of {part} {sizes[part]}")
    return wrong


def decoder_problems(network: Mapping[str, Any]) -> list[str]:
    """Settings of a `config.json` that the decoder here would silently ignore.

    network: the content of `config.json`, with sizes known to be valid.
    """
    text: Mapping[str, Any] = network.get("text_config") or network
    problems = []
    if text.get("use_sliding_window") or "sliding_attention" in (text.get("layer_types") or ()):
        problems.append("it asks for sliding-window attention in the decoder, which is not supported")
    rope = text.get("rope_parameters") or text.get("rope_scaling")
    rope = rope if isinstance(rope, Mapping) else {}
    sections, half = rope.get("mrope_section"), text["hidden_size"] // text["num_attention_heads"] // 2
    known = sections if isinstance(sections, list) and all(is_whole(one, 1) for one in sections) else []
    if len(known) != 3 or sum(known) != half:
        problems.append(
            f"rope_scaling.mrope_section is {shortened(sections)}; "
            f"it must be three sections of together {half}"
        )
    kind = rope.get("type", "mrope")
    if kind not in ("mrope", "default") and rope.get("rope_type", "default") == "default":
        problems.append(f"rope_scaling states the type {kind!r}; state it as rope_type too")
    return problems


def is_whole(value: object, least: int) -> bool:
    """Whether a JSON value is a whole number in the range that a size or a token can have."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST


def shortened(value: object) -> str:
    """A value as shown in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
