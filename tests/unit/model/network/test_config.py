"""Configurations: what the two files state, and which errors are found in them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from model.errors import ConfigError
from model.network.config import ModelConfig, NetworkShape, Stage, tiny_network

Make = Callable[..., ModelConfig]

# The published configuration of Qwen2.5-VL-7B in its flat form (only the fields that shapes need).
QWEN_7B = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "image_token_id": 151655,
    "tie_word_embeddings": False,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vision_config": {"depth": 32, "hidden_size": 1280, "patch_size": 14, "spatial_merge_size": 2},
}


def test_sidecar_round_trips_through_json(make_config: Make) -> None:
    """What is saved is what is loaded."""
    config = make_config(confidence_threshold=0.9, name="tiny", licence="MIT")
    sidecar = json.loads(json.dumps(config.sidecar()))
    assert config == ModelConfig.from_sidecar(config.network, sidecar)
    assert sidecar["stage"] == "echo"


def test_sidecar_problems_are_reported_together(make_config: Make) -> None:
    """Unknown, missing and invalid keys are reported in one error."""
    sidecar = make_config().sidecar() | {"stage": "done", "colour": 1}
    del sidecar["block_size"]
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_sidecar({}, sidecar)
    for part in ("unknown key 'colour'", "missing key 'block_size'", "stage is 'done', not one of ar, base"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"block_size": 0, "denoising_steps": 1}, "block_size 0"),
        ({"mask_token_id": 99_999}, "mask_token_id 99999 is outside the vocabulary"),
        ({"denoising_steps": 9}, r"denoising_steps 9 must lie in 1\.\.8"),
        ({"confidence_threshold": 0.0}, "confidence_threshold"),
        ({"image_size": 100}, "image_size 100 is not a multiple of 28"),
        ({"max_tokens": 0}, "max_tokens 0"),
    ],
)
def test_impossible_configuration_is_refused(make_config: Make, fields: dict[str, int], problem: str) -> None:
    """A configuration that no decoder could run is refused."""
    config = make_config()
    sidecar = config.sidecar() | {"denoising_steps": 1} | fields
    with pytest.raises(ConfigError, match=problem):
        ModelConfig.from_sidecar(config.network, sidecar)


def test_shape_reads_the_published_flat_configuration() -> None:
    """The sizes of the 7B configuration are read as published."""
    shape = NetworkShape.of(QWEN_7B)
    assert (shape.hidden, shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (3584, 28, 28, 4, 128)
    assert (
        shape.ffn,
        shape.vocab_size,
        shape.vision_hidden,
        shape.vision_layers,
    ) == (18944, 152064, 1280, 32)


def test_shape_of_another_network_is_refused() -> None:
    """The error names the network, or the missing key."""
    with pytest.raises(ConfigError, match="describes 'bert'"):
        NetworkShape.of({"model_type": "bert"})
    with pytest.raises(ConfigError, match="lacks 'vocab_size'"):
        NetworkShape.of({"model_type": "qwen2_5_vl"})


@pytest.mark.parametrize(("hidden", "heads"), [(192, 6), (3584, 28), (256, 8)])
def test_tiny_network_shares_out_all_rotary_frequencies(hidden: int, heads: int) -> None:
    """The three M-RoPE sections fill half a head; at 7B sizes they equal the published ones."""
    network = tiny_network(vocab_size=300, image_token_id=5, eos_token_id=2, hidden=hidden, heads=heads)
    sections = network["text_config"]["rope_parameters"]["mrope_section"]
    assert hidden // heads // 2 == sum(sections)
    if hidden == 3584:
        assert sections == [16, 24, 24]


def test_image_tokens_follow_from_the_image_size(make_config: Make) -> None:
    """168 px give 36 visual tokens."""
    assert make_config(image_size=168, stage=Stage.AR).image_tokens == 36
