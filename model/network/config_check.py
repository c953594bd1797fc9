"""Whether the values in a checkpoint's configuration files have the types and ranges that they must have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

MODEL_TYPE = "qwen2_5_vl"
_LARGEST = 10_000_000  # of any size: more is a mistake, and a skeleton of it would not be built in minutes
_MOST_LAYERS = 1_000


def type_problems(values: Mapping[str, Any], types: Mapping[str, Any]) -> list[str]:
    """Values of a JSON object whose type is not the declared one; booleans are no numbers."""
    problems = []
    for name, value in values.items():
        try:
            TypeAdapter(types[name]).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            problems.append(f"{name} is {_short(value)}: {error.errors()[0]['msg'].lower()}")
    return problems


def size_problems(sizes: Mapping[str, Any], tokens: Mapping[str, Any]) -> list[str]:
    """What is wrong with a network's sizes.

    sizes: by name as `config.json` has it, each a whole number of at least 1. tokens: ids, from 0.
    """
    wrong = [f"{name} is {_short(value)}" for name, value in sizes.items() if not _whole(value, 1)]
    wrong += [f"{name} is {_short(value)}" for name, value in tokens.items() if not _whole(value, 0)]
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
            wrong.append(f"{whole} {sizes[whole]} is no multiple of {part} {sizes[part]}")
    return wrong


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
