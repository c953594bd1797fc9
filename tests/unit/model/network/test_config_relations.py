"""A wrong value in a checkpoint's files is reported: the field, its value, and what it must be."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from model.errors import ConfigError
from model.network.backbone import Backbone
from model.network.config import NetworkShape, tiny_network
from model.network.config_relations import ROPE_TYPES, network_problems
from model.network.initialise import Choices, InitError, initialise
from model.network.inspection import inspect_checkpoint
from tests.support.published_base import QWEN_7B, write_base

Change = Mapping[str, Any]

# A change to a field of the published configuration (7B, flat), and the expected message.
RELATIONS: tuple[tuple[Change, str], ...] = (
    ({"hidden_size": 3586}, "hidden_size 3586 is not a multiple of num_attention_heads 28"),
    ({"hidden_size": 3612}, "hidden_size / num_attention_heads is 129; it must be even"),
    ({"head_dim": 64}, "head_dim is 64; it must be 128 (hidden_size / num_attention_heads)"),
    ({"num_key_value_heads": 3}, "num_attention_heads 28 is not a multiple of num_key_value_heads 3"),
    ({"num_key_value_heads": None}, "num_key_value_heads is None; it must be a whole number from 1"),
    ({"num_attention_heads": 56}, "mrope_section is [16, 24, 24]; it must be three sections of together 32"),
    ({"rope_scaling": {"type": "mrope", "mrope_section": [64]}}, "three sections of together 64"),
    ({"rope_scaling": [16, 24, 24]}, "rope_scaling is [16, 24, 24]; it must be a JSON object"),
    (
        {"rope_scaling": {"rope_type": "odd", "mrope_section": [16, 24, 24]}},
        "rope_scaling.rope_type is 'odd'; it must be one of default, mrope",
    ),
    ({"rope_theta": 0}, "rope_theta is 0; it must be a number above 0"),
    ({"rope_theta": "1e6"}, "rope_theta is '1e6'; it must be a number above 0"),
    (
        {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24], "rope_theta": 1e4}},
        "rope_theta is 1000000.0; it must be 10000.0",
    ),
    (
        {"rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20]}},
        "rope_scaling.mrope_section is [16, 24, 24]; it must be [24, 20, 20] as in rope_parameters",
    ),
    ({"rms_norm_eps": -1e-6}, "rms_norm_eps is -1e-06; it must be a number above 0"),
    ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; it must be 'silu'"),
    ({"attention_dropout": 0.1}, "attention_dropout is 0.1; it must be 0"),
    ({"max_position_embeddings": None}, "max_position_embeddings is None; it must be a whole number from 1"),
    ({"layer_types": ["full_attention"]}, "it must be a list of 28 (num_hidden_layers)"),
    ({"torch_dtype": "float8"}, "torch_dtype is 'float8'; it must be one of float32, bfloat16, float16"),
    ({"dtype": "half"}, "dtype is 'half'; it must be one of float32, bfloat16, float16"),
    ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'; it must be true or false"),
    ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}; it must be absent"),
    ({"image_token_id": 152064}, "image_token_id is 152064; it must be from 0 to 152063 (vocab_size 152064)"),
    ({"video_token_id": -1}, "video_token_id is -1; it must be from 0 to 152063"),
    ({"video_token_id": 151655}, "video_token_id is 151655; it must be another token than image_token_id"),
    ({"vision_start_token_id": 10**6}, "vision_start_token_id is 1000000; it must be from 0 to 152063"),
    ({"vision_end_token_id": "151653"}, "vision_end_token_id is '151653'; it must be from 0 to 152063"),
    ({"bos_token_id": 10**6}, "bos_token_id is 1000000; it must be from 0 to 152063"),
    ({"eos_token_id": [151645, 10**6]}, "eos_token_id is 1000000; it must be from 0 to 152063"),
    ({"pad_token_id": 152064}, "pad_token_id is 152064; it must be from 0 to 152063"),
    ({"vision_config.out_hidden_size": 2048}, "out_hidden_size is 2048; it must be 3584 (hidden_size)"),
    ({"vision_config.hidden_size": 1282}, "vision hidden_size 1282 is not a multiple of vision num_heads 16"),
    (
        {"vision_config.num_heads": 640},
        "vision_config.hidden_size / num_heads is 2; it must be a multiple of 4",
    ),
    ({"vision_config.num_attention_heads": 8}, "num_attention_heads is 8; it must be 16 (num_heads)"),
    (
        {"vision_config.depth": 24},
        "indexes is [7, 15, 23, 31]; it must be a list of layers from 0 to 23 (depth)",
    ),
    ({"vision_config.fullatt_block_indexes": [True]}, "fullatt_block_indexes is [True]; it must be a list"),
    ({"vision_config.fullatt_block_indexes": 7}, "fullatt_block_indexes is 7; it must be a list of layers"),
    ({"vision_config.window_size": 100}, "window_size is 100; it must be a multiple of 28 px"),
    ({"vision_config.window_size": 14}, "window_size is 14; it must be a multiple of 28 px"),
    ({"vision_config.spatial_merge_size": 3}, "window_size is 112; it must be a multiple of 42 px"),
    ({"vision_config.patch_size": [14, 14]}, "patch_size is [14, 14]; it must be a whole number from 1"),
    ({"vision_config.in_chans": 1}, "vision_config.in_chans is 1; it must be 3"),
    ({"vision_config.in_channels": 1}, "vision_config.in_channels is 1; it must be 3"),
    (
        {"vision_config.intermediate_size": 0},
        "vision_config.intermediate_size is 0; it must be a whole number",
    ),
    (
        {"vision_config.hidden_act": "quick_gelu"},
        "vision_config.hidden_act is 'quick_gelu'; it must be 'silu'",
    ),
    (
        {"vision_config.model_type": "qwen2_vl"},
        "vision_config.model_type is 'qwen2_vl'; it must be qwen2_5_vl",
    ),
)


def _changed(network: Mapping[str, Any], change: Change) -> dict[str, Any]:
    changed = copy.deepcopy(dict(network))
    for place, value in change.items():
        *parts, name = place.split(".")
        part = changed
        for key in parts:
            part = part[key]
        part[name] = value
    return changed


def _problems(network: Mapping[str, Any]) -> list[str]:
    try:
        NetworkShape.of(network)
    except ConfigError as error:
        return [str(error)]
    return network_problems(network)


@pytest.mark.parametrize(
    ("change", "said"), RELATIONS, ids=[next(iter(c)) + str(n) for n, (c, _) in enumerate(RELATIONS)]
)
def test_a_wrong_field_is_named_with_both_values(change: Change, said: str) -> None:
    """Every broken relation between fields is reported, whether or not the network could be built."""
    assert any(said in problem for problem in _problems(_changed(QWEN_7B, change)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tie_word_embeddings": True},
        {"eos_token_id": [151645, 151643], "pad_token_id": None, "dtype": "float16"},
        {"rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [16, 24, 24]}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mrope_section": [16, 24, 24]}},
        {"vision_config.model_type": "qwen2_5_vl", "vision_config.in_channels": 3},
        {"vision_config.fullatt_block_indexes": [], "layer_types": ["full_attention"] * 28},
    ],
)
def test_published_forms_of_a_configuration_have_no_problems(change: Change) -> None:
    """The forms that published files use are not refused."""
    assert _problems(_changed(QWEN_7B, change)) == []


def test_a_field_that_text_config_states_otherwise_is_named() -> None:
    """transformers reads the decoder from `text_config`; a different value at the top level is reported."""
    network = tiny_network(vocab_size=300, image_token_id=5, eos_token_id=2)
    assert _problems(network) == []
    assert _problems({**network, "vocab_size": 400}) == [
        "vocab_size is 400; it must be 300 as in text_config"
    ]
    text = {**network["text_config"], "tie_word_embeddings": True}
    assert _problems({**network, "text_config": text}) == [
        "tie_word_embeddings is False; it must be True as in text_config"
    ]
    text = {**network["text_config"], "model_type": "llama"}
    assert _problems({**network, "text_config": text}) == [
        "text_config.model_type is 'llama'; it must be qwen2_5_vl or qwen2_5_vl_text"
    ]


def test_building_a_network_leaves_its_configuration_as_it_was() -> None:
    """transformers fills in the rotary settings; reading a checkpoint does not change its configuration."""
    network = tiny_network(vocab_size=300, image_token_id=5, eos_token_id=2)
    text = network.pop("text_config")
    sections = text.pop("rope_parameters")["mrope_section"]
    network = {
        **text,
        **network,
        "rope_theta": 1e4,
        "rope_scaling": {"type": "mrope", "mrope_section": sections},
    }
    before = copy.deepcopy(network)

    Backbone.tensor_shapes(network)

    assert network == before


def test_the_rotations_are_those_of_transformers() -> None:
    """A rotary type that transformers adds or removes makes this test fail."""
    assert set(ROPE_TYPES) == {"default", "mrope", *ROPE_INIT_FUNCTIONS}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared base in shards that loads."""
    folder = write_base(tmp_path_factory.mktemp("bases") / "base")
    initialise(folder, Choices(licence="Apache-2.0"))
    return folder


def _edit(folder: Path, file: str, change: Change) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(_changed(content, change)))


def _without_head(folder: Path) -> None:
    _drop(folder, "lm_head.weight")
    content = json.loads((folder / "model.safetensors.index.json").read_text())
    del content["weight_map"]["lm_head.weight"]
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def _drop(folder: Path, name: str) -> None:
    for shard in folder.glob("*.safetensors"):
        tensors = load_file(shard)
        if tensors.pop(name, None) is not None:
            save_file(tensors, shard, metadata={"format": "pt"})


def _far_token(folder: Path) -> None:
    """Add a token whose id is beyond the embedding, while the number of tokens does not exceed the rows."""
    content = json.loads((folder / "tokenizer.json").read_text())
    token = {**content["added_tokens"][0], "content": "<|far|>", "id": 5000}
    content["added_tokens"].append(token)
    content["model"]["vocab"]["<|far|>"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(content))


def _no_mask_token(folder: Path) -> None:
    """Remove the mask token, as in the published tokenizer, and name another special token instead."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] != "<|mask|>"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    start = next(one["id"] for one in content["added_tokens"] if one["content"] == "<|im_start|>")
    _edit(folder, "echo_config.json", {"mask_token_id": start})


def _setting(field: str, value: object, file: str = "config.json") -> Callable[[Path], None]:
    """Return a function that sets one field of a file."""
    return lambda folder: _edit(folder, file, {field: value})


STORED: dict[str, tuple[Callable[[Path], None], str]] = {
    "vocabulary": (
        _setting("vocab_size", 600),
        "config.json: vocab_size is 600, but the weights have",
    ),
    "gate": (
        _setting("intermediate_size", 128),
        "config.json: intermediate_size is 128, but the weights have 96",
    ),
    "layers": (
        _setting("num_hidden_layers", 3),
        "config.json: num_hidden_layers is 3, but the weights have 2",
    ),
    "key heads": (
        _setting("num_key_value_heads", 4),
        "config.json: num_key_value_heads is 4, but the weights have 2",
    ),
    "tower": (
        _setting("vision_config.hidden_size", 64),
        "config.json: vision_config.hidden_size is 64, but the weights have 32",
    ),
    "tower's depth": (
        _setting("vision_config.depth", 4),
        "config.json: vision_config.depth is 4, but the weights have 2",
    ),
    "patch": (
        _setting("vision_config.patch_size", 28),
        "config.json: vision_config.patch_size is 28, but the weights have 14",
    ),
    "padding": (_setting("pad_token_id", 9999), "pad_token_id is 9999"),
    "tied": (
        _setting("tie_word_embeddings", True),
        "tie_word_embeddings is True, but lm_head.weight differs from the embedding; it must be false",
    ),
    "untied": (
        _without_head,
        "tie_word_embeddings is False, but there is no lm_head.weight; it must be true",
    ),
    "tensor elsewhere": (lambda f: _drop(f, "lm_head.weight"), "that it lacks: lm_head.weight"),
    "far token": (_far_token, "the tokenizer's largest id is 5000; vocab_size"),
    "mask": (_no_mask_token, "is the tokenizer's <|im_start|>; it must be a token of its own"),
    "end": (
        _setting("eos_token_id", 40, "echo_config.json"),
        "eos_token_id 40 is a token of ordinary",
    ),
    "vision start": (
        _setting("vision_start_token_id", 3),
        "vision_start_token_id is 3, but the tokenizer's <|vision_start|> is",
    ),
}


@pytest.mark.parametrize("case", STORED)
def test_what_weights_or_tokenizer_contradict_is_named(base: Path, tmp_path: Path, case: str) -> None:
    """A field that contradicts the files is reported by name, never with a traceback."""
    damage, said = STORED[case]
    folder = tmp_path / "base"
    shutil.copytree(base, folder)
    damage(folder)

    found = inspect_checkpoint(folder)

    assert any(said in problem for problem in found.problems), found.problems


def test_a_base_with_a_broken_relation_is_not_prepared(tmp_path: Path) -> None:
    """`init` refuses what `inspect` refuses, and changes nothing."""
    folder = write_base(tmp_path / "base")
    _edit(folder, "config.json", {"vision_config.out_hidden_size": 32})

    with pytest.raises(InitError, match="out_hidden_size is 32; it must be 64"):
        initialise(folder, Choices(licence="Apache-2.0"))

    assert not (folder / "echo_config.json").exists()


def test_a_tied_base_with_a_copy_of_the_embedding_as_its_head_loads(base: Path, tmp_path: Path) -> None:
    """Some files repeat the embedding under the head's name; that is not a contradiction."""
    folder = tmp_path / "base"
    shutil.copytree(base, folder)
    _edit(folder, "config.json", {"tie_word_embeddings": True})
    stored = {name: t for shard in folder.glob("*.safetensors") for name, t in load_file(shard).items()}
    for shard in folder.glob("*.safetensors"):
        tensors = load_file(shard)
        if "lm_head.weight" in tensors:
            tensors["lm_head.weight"] = stored["model.embed_tokens.weight"].clone()
            save_file(tensors, shard, metadata={"format": "pt"})

    assert inspect_checkpoint(folder).problems == ()
