"""Base directories as published or saved by others: read alike, or refused with a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.network.backbone import Backbone
from model.network.initialise import Choices, InitError, initialise
from tests.support.published_base import write_base

Network = dict[str, Any]
_TEXT = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling",
)  # fmt: skip
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def _nested(network: Network) -> Network:
    """Return the form that transformers 4.52 and later save."""
    text = {name: network[name] for name in _TEXT} | {"model_type": "qwen2_5_vl_text"}
    return {name: value for name, value in network.items() if name not in _TEXT} | {"text_config": text}


def _fifth(network: Network) -> Network:
    """Return the form that transformers 5 saves."""
    nested = _nested(network)
    text = nested["text_config"]
    rope = {"rope_theta": text.pop("rope_theta"), **text.pop("rope_scaling")}
    rope.pop("type")
    text |= {"rope_parameters": {"rope_type": "default", **rope}, "dtype": "bfloat16"}
    return {**nested, "dtype": "bfloat16", "transformers_version": "5.0.0"}


_LAYOUTS: dict[str, Callable[[Network], Network]] = {
    "nested": _nested,
    "nested beside the flat form": lambda network: {**network, **_nested(network)},
    "transformers 5": _fifth,
    "type default": lambda network: network
    | {"rope_scaling": network["rope_scaling"] | {"type": "default", "rope_type": "default"}},
    "what the published files have beside": lambda network: network
    | {
        "use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 70,
        "torch_dtype": "bfloat16", "attention_dropout": 0.0, "use_cache": True, "video_token_id": 9,
    },
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base in the flat layout of the published files."""
    return write_base(tmp_path / "base")


def _say(network: Network) -> torch.Tensor:
    """Return the logits of a network of that configuration, whose weights depend only on their names."""
    backbone = Backbone.from_config(network).eval()
    with torch.no_grad():
        for _, weight in sorted(backbone.named_parameters()):
            weight.copy_(torch.linspace(-1.0, 1.0, weight.numel()).sin().view(weight.shape))
        positions = torch.stack([torch.arange(6), torch.arange(6) * 2, torch.arange(6) * 3])[:, None]
        mask = torch.ones(1, 6, 6, dtype=torch.bool).tril()
        logits: torch.Tensor = backbone(backbone.embed(torch.arange(6)[None]), positions, mask)
    return logits


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_every_layout_of_a_configuration_is_the_same_network(base: Path, layout: str) -> None:
    """Sizes and rotary settings are found wherever a version of transformers has written them."""
    flat = json.loads((base / "config.json").read_text())

    changed = _LAYOUTS[layout](dict(flat))
    (base / "config.json").write_text(json.dumps(changed))

    torch.testing.assert_close(_say(changed), _say(flat), rtol=0, atol=0)
    assert any(line.startswith("base ") for line in initialise(base, Choices(licence="x")))


@pytest.mark.parametrize(
    ("file", "content", "bounds"),
    [
        ("preprocessor_config.json", {**_CLIP, "min_pixels": 3136, "max_pixels": 12845056}, (3136, 1003520)),
        ("preprocessor_config.json", {"min_pixels": 784, "max_pixels": 200704}, (784, 200704)),
        (
            "processor_config.json",
            {"image_processor": {**_CLIP, "size": {"shortest_edge": 3136, "longest_edge": 401408}}},
            (3136, 401408),
        ),
        (None, {}, (3136, 1003520)),
    ],
)
def test_images_are_bounded_as_the_base_says(
    base: Path, file: str | None, content: Network, bounds: tuple[int, int]
) -> None:
    """Bounds are read as transformers 4 or 5 write them, up to a budget that suits a radiograph."""
    if file is not None:
        (base / file).write_text(json.dumps(content))

    initialise(base, Choices(licence="x"))

    found = json.loads((base / "echo_config.json").read_text())
    assert (found["min_pixels"], found["max_pixels"]) == bounds


def _pickled(folder: Path) -> None:
    for shard in folder.glob("*.safetensors*"):
        shard.unlink()
    (folder / "config.json").unlink()
    (folder / "pytorch_model.bin").touch()


def _two_tokenizer_files(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").touch()
    (folder / "merges.txt").touch()


def _adapters(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").touch()


def _pointer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\nsize 4\n")


def _other_mean(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')


def _other_patch(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"patch_size": 16}')


def _no_object(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text("[]")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_pickled, "the weights are pickled"),
        (_two_tokenizer_files, "AutoTokenizer"),
        (_adapters, "merge them into their base"),
        (_pointer, "git lfs pull"),
        (_other_mean, r"image_mean \[0\.5, 0\.5, 0\.5\], where Qwen2\.5-VL has \[0\.48"),
        (_other_patch, "patch_size 16, where Qwen2.5-VL has 14"),
        (_no_object, "preprocessor_config.json must be a JSON object"),
    ],
)
def test_a_directory_that_needs_something_first_says_what(
    base: Path, change: Callable[[Path], None], reason: str
) -> None:
    """`init` writes nothing and names the remedy, or the image setting that differs."""
    change(base)

    with pytest.raises(InitError, match=reason):
        initialise(base, Choices(licence="x"))

    assert not (base / "echo_config.json").exists()
