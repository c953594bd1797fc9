"""Checks that the fields of a `config.json` fit together, and fit the network that is built from them.

Sizes that are wrong by themselves, and those that the weights contradict, are found elsewhere
(`config_check`, `inspection`). Errors that remain would load, but compute something that the base has not
learnt: another activation, attention windows of another size, a token outside the vocabulary. Every problem
names the field, its value, and the value that it must have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model.network.config_check import MODEL_TYPE, decoder_problems, is_whole, shortened

_TYPES = ("float32", "bfloat16", "float16")
_ACTIVATION = "silu"
# Those that transformers computes; `mrope` is what published files call the default.
ROPE_TYPES = ("default", "mrope", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")
# Fields that files with a `text_config` may repeat at the top level, where transformers does not read them.
_REPEATED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "hidden_act",
)  # fmt: skip
TOKEN_FIELDS = (
    "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id",
    "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip


def network_problems(network: Mapping[str, Any]) -> list[str]:
    """Every relation between fields that does not hold.

    network: as `config.json` has it, with sizes that `NetworkShape.of` has accepted.
    """
    text: Mapping[str, Any] = network.get("text_config") or network
    vision: Mapping[str, Any] = network.get("vision_config") or {}
    return [
        *decoder_problems(network),
        *_repeated(network, text),
        *_decoder(text),
        *_rotation(text),
        *_tower(vision, text["hidden_size"]),
        *_tokens(network, text),
        *_storage(network, text, vision),
    ]


def _unless(holds: bool, name: str, found: object, expected: str) -> Iterator[str]:
    """The problem of a field, if it is one."""
    if not holds:
        yield f"{name} is {shortened(found)}; it must be {expected}"


def _repeated(network: Mapping[str, Any], text: Mapping[str, Any]) -> Iterator[str]:
    """Fields that are stated twice with different values."""
    if text is not network:
        for name in _REPEATED:
            if name in network and name in text and network[name] != text[name]:
                yield from _unless(False, name, network[name], f"{text[name]!r} as in text_config")
        if text.get("tie_word_embeddings") is True:
            yield from _unless(
                network.get("tie_word_embeddings", True) is True,
                "tie_word_embeddings",
                network.get("tie_word_embeddings"),
                "True as in text_config",
            )
    scaling, parameters = text.get("rope_scaling"), text.get("rope_parameters")
    if isinstance(scaling, Mapping) and isinstance(parameters, Mapping):
        for name in sorted(scaling.keys() & parameters.keys()):
            same = scaling[name] == parameters[name]
            yield from _unless(
                same, f"rope_scaling.{name}", scaling[name], f"{parameters[name]!r} as in rope_parameters"
            )


def _decoder(text: Mapping[str, Any]) -> Iterator[str]:
    width = text["hidden_size"] // text["num_attention_heads"]
    stated = text.get("head_dim")
    yield from _unless(
        stated in (None, width), "head_dim", stated, f"{width} (hidden_size / num_attention_heads)"
    )
    yield from _unless(
        width % 2 == 0, "hidden_size / num_attention_heads", width, "even: the rotation turns pairs"
    )
    yield from _activation("hidden_act", text)
    yield from _number("rms_norm_eps", text.get("rms_norm_eps", 1e-5), above=0.0)
    dropout = text.get("attention_dropout") or 0.0
    yield from _unless(dropout == 0.0, "attention_dropout", dropout, "0")
    longest = text.get("max_position_embeddings", 1)
    yield from _unless(is_whole(longest, 1), "max_position_embeddings", longest, "a whole number from 1")
    kinds = text.get("layer_types")
    if kinds is not None:
        layers = text["num_hidden_layers"]
        right = isinstance(kinds, list) and len(kinds) == layers
        yield from _unless(right, "layer_types", kinds, f"a list of {layers} (num_hidden_layers)")


def _activation(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    """Inference computes the gated layer with this activation, whatever the file says."""
    found = part.get("hidden_act", _ACTIVATION)
    yield from _unless(found == _ACTIVATION, name, found, repr(_ACTIVATION))


def _number(name: str, found: object, *, above: float) -> Iterator[str]:
    right = isinstance(found, int | float) and not isinstance(found, bool) and found > above
    yield from _unless(right, name, found, f"a number above {above:g}")


def _rotation(text: Mapping[str, Any]) -> Iterator[str]:
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if not isinstance(rope, Mapping):
        yield from _unless(False, "rope_scaling", rope, "a JSON object")
        return
    kind = rope.get("rope_type", rope.get("type", "default"))
    yield from _unless(kind in ROPE_TYPES, "rope_scaling.rope_type", kind, f"one of {', '.join(ROPE_TYPES)}")
    apart, inside = text.get("rope_theta"), rope.get("rope_theta")
    if apart is not None and inside is not None:
        yield from _unless(apart == inside, "rope_theta", apart, f"{inside!r} as in the rotation's settings")
    theta = inside if inside is not None else apart
    if theta is not None:
        yield from _number("rope_theta", theta, above=0.0)


def _tower(vision: Mapping[str, Any], hidden: int) -> Iterator[str]:
    """The vision tower's fields; a missing one has transformers' default, which is the 7B network's value."""
    width = vision.get("out_hidden_size", 3584)
    yield from _unless(width == hidden, "vision_config.out_hidden_size", width, f"{hidden} (hidden_size)")
    inner = vision.get("intermediate_size", 3420)
    yield from _unless(is_whole(inner, 1), "vision_config.intermediate_size", inner, "a whole number from 1")
    head = vision["hidden_size"] // vision.get("num_heads", 16)
    yield from _unless(
        head % 4 == 0,
        "vision_config.hidden_size / num_heads",
        head,
        "a multiple of 4: the rotation turns pairs in two directions",
    )
    alias = vision.get("num_attention_heads")
    heads = vision.get("num_heads", 16)
    yield from _unless(
        alias in (None, heads), "vision_config.num_attention_heads", alias, f"{heads} (num_heads)"
    )
    depth = vision.get("depth", 32)
    full = vision.get("fullatt_block_indexes", [7, 15, 23, 31])
    known = isinstance(full, list) and all(is_whole(one, 0) and one < depth for one in full)
    yield from _unless(
        known, "vision_config.fullatt_block_indexes", full, f"a list of layers from 0 to {depth - 1} (depth)"
    )
    unit = vision.get("patch_size", 14) * vision.get("spatial_merge_size", 2)
    window = vision.get("window_size", 112)
    yield from _unless(
        is_whole(window, 1) and window % unit == 0,
        "vision_config.window_size",
        window,
        f"a multiple of {unit} px (patch_size x spatial_merge_size)",
    )
    for name in ("in_channels", "in_chans"):
        channels = vision.get(name, 3)
        yield from _unless(channels == 3, f"vision_config.{name}", channels, "3")
    yield from _activation("vision_config.hidden_act", vision)


def _tokens(network: Mapping[str, Any], text: Mapping[str, Any]) -> Iterator[str]:
    """Token ids outside the vocabulary, and two special tokens that are one."""
    last = text["vocab_size"] - 1
    for part, prefix in ((network, ""), *(((text, "text_config."),) if text is not network else ())):
        for name in TOKEN_FIELDS:
            found = part.get(name)
            # A text may end with any of several tokens.
            for one in found if name == "eos_token_id" and isinstance(found, list) else [found]:
                right = one is None or (is_whole(one, 0) and one <= last)
                yield from _unless(right, prefix + name, one, f"from 0 to {last} (vocab_size {last + 1})")
    image = network["image_token_id"]
    for name in TOKEN_FIELDS[1:4]:
        yield from _unless(network.get(name) != image, name, image, "another token than image_token_id")


def _storage(network: Mapping[str, Any], text: Mapping[str, Any], vision: Mapping[str, Any]) -> Iterator[str]:
    """The types of the parts, and how the weights are stored."""
    kinds = {"vision_config": (MODEL_TYPE, f"{MODEL_TYPE}_vision")}
    if text is not network:
        kinds["text_config"] = (MODEL_TYPE, f"{MODEL_TYPE}_text")
    for name, known in kinds.items():
        found = network[name].get("model_type", known[0])
        yield from _unless(found in known, f"{name}.model_type", found, " or ".join(known))
    parts = {"": network, "vision_config.": vision, **({} if text is network else {"text_config.": text})}
    for prefix, part in parts.items():
        for name in ("torch_dtype", "dtype"):
            found = part.get(name)
            yield from _unless(
                found is None or found in _TYPES, prefix + name, found, f"one of {', '.join(_TYPES)}"
            )
    tied = network.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    yield from _unless(isinstance(tied, bool), "tie_word_embeddings", tied, "true or false")
    quantised = network.get("quantization_config")
    yield from _unless(
        quantised is None, "quantization_config", quantised, "absent: quantised weights are not read"
    )
