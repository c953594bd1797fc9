"""Checkpoints: both published layouts, every storage type, and one clear error for all problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import CheckpointError
from model.network.backbone import Backbone
from model.network.checkpoint import inspect_checkpoint, load_checkpoint, save_checkpoint
from model.network.config import ModelConfig
from model.network.tokenizer import ReportTokenizer
from tests.support.published_base import QWEN_7B

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]
EMBEDDING = "model.language_model.embed_tokens.weight"


@pytest.fixture
def saved(
    tmp_path: Path, make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer
) -> tuple[Path, Backbone]:
    """A valid small checkpoint in one file, and its network."""
    config = make_config(name="tiny", licence="MIT")
    backbone = make_backbone(config, 1)
    save_checkpoint(tmp_path, backbone, config, tokenizer)
    return tmp_path, backbone


def state(backbone: Backbone) -> dict[str, torch.Tensor]:
    return dict(backbone.network.state_dict())


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("published", [True, False], ids=["published names", "current names"])
@pytest.mark.parametrize("shard_bytes", [10**9, 50_000], ids=["one file", "shards"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_checkpoint_is_loaded_from_every_layout(
    tmp_path: Path,
    make_config: Make,
    make_backbone: MakeBackbone,
    tokenizer: ReportTokenizer,
    published: bool,
    shard_bytes: int,
    dtype: torch.dtype,
) -> None:
    """Prefixes, shards and storage types do not change what is loaded."""
    config = make_config(licence="MIT", demonstration=False)
    backbone = make_backbone(config, 2)
    save_checkpoint(
        tmp_path, backbone, config, tokenizer, dtype=dtype, shard_bytes=shard_bytes, published_names=published
    )
    assert (shard_bytes == 50_000) == (tmp_path / "model.safetensors.index.json").exists()
    loaded = load_checkpoint(tmp_path)
    assert config == loaded.config
    assert loaded.backbone.dtype == torch.float32
    for name, tensor in state(backbone).items():
        assert torch.equal(tensor.to(dtype).float(), state(loaded.backbone)[name]), name


def test_published_names_are_those_of_published_files(
    tmp_path: Path, make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer
) -> None:
    """Published names have the prefixes `visual.…`, `model.layers.…`, `lm_head.weight` and no others."""
    config = make_config()
    save_checkpoint(tmp_path, make_backbone(config, 1), config, tokenizer, published_names=True)
    names = load_file(tmp_path / "model.safetensors").keys()
    prefixes = {".".join(name.split(".")[:2]) for name in names}
    tower = {"visual.patch_embed", "visual.blocks", "visual.merger"}
    assert prefixes == tower | {"model.embed_tokens", "model.layers", "model.norm", "lm_head.weight"}


def test_loaded_network_computes_what_the_saved_one_did(
    saved: tuple[Path, Backbone], make_config: Make, make_prompts: Callable[..., Any]
) -> None:
    """Loading also restores the rotary tables, which are in no file."""
    directory, backbone = saved
    prompts = make_prompts(make_config())
    loaded = load_checkpoint(directory).backbone
    with torch.inference_mode():
        one, two = (b.encode_images(prompts.pixel_values, prompts.grid_thw) for b in (backbone, loaded))
        assert torch.equal(one, two)


def test_tied_head_has_no_tensor_of_its_own(
    tmp_path: Path, make_config: Make, tokenizer: ReportTokenizer
) -> None:
    """A tied checkpoint is saved without a head and loads with the embedding as its head."""
    plain = make_config(licence="MIT")
    config = ModelConfig.from_sidecar({**plain.network, "tie_word_embeddings": True}, plain.sidecar())
    backbone = Backbone.from_config(config.network)
    save_checkpoint(tmp_path, backbone, config, tokenizer)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path).backbone
    assert torch.equal(state(backbone)[EMBEDDING], state(loaded)["lm_head.weight"])


def test_mask_token_is_added_to_a_vocabulary_without_one(
    tmp_path: Path, make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer
) -> None:
    """Embedding and head gain a row for the mask token, which starts as the mean of the others."""
    config = make_config()
    save_checkpoint(tmp_path, make_backbone(config, 1), config, tokenizer)
    rows = config.shape.vocab_size
    tokenizer_file = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer_file["added_tokens"] = [t for t in tokenizer_file["added_tokens"] if t["content"] != "<|mask|>"]
    tokenizer_file["model"]["vocab"]["<|other|>"] = tokenizer_file["model"]["vocab"].pop("<|mask|>")
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_file))
    edit(tmp_path / "config.json", lambda c: c["text_config"].update(vocab_size=rows + 1))
    edit(tmp_path / "echo_config.json", lambda c: c.update(mask_token_id=rows))
    found = inspect_checkpoint(tmp_path)
    assert found.loads, str(found)
    assert f"grows from {rows} to {rows + 1} rows for the mask token" in found.notes[0]
    embedding = state(load_checkpoint(tmp_path).backbone)[EMBEDDING]
    torch.testing.assert_close(embedding[:rows].mean(dim=0), embedding[rows])


def test_hash_identifies_the_weights(saved: tuple[Path, Backbone]) -> None:
    """For a single file, the hash is what `sha256sum` prints."""
    directory, _ = saved
    expected = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    assert expected == load_checkpoint(directory).weights_sha256
    assert expected in str(inspect_checkpoint(directory))


def test_all_problems_come_in_one_error(saved: tuple[Path, Backbone]) -> None:
    """Missing, unknown, wrongly sized and wrongly typed tensors, the mask id and the licence: one list."""
    directory, _ = saved
    tensors = load_file(directory / "model.safetensors")
    tensors.pop("model.language_model.norm.weight")
    tensors["model.language_model.layers.7.surprise"] = torch.zeros(1)
    tensors["lm_head.weight"] = torch.zeros(3, 3)
    tensors["model.visual.merger.ln_q.weight"] = torch.zeros(32, dtype=torch.int64)
    save_file(tensors, directory / "model.safetensors")
    edit(directory / "echo_config.json", lambda c: c.update(licence="", demonstration=False, mask_token_id=5))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(directory)
    message = str(caught.value)
    for part in (
        "1 tensors are missing: model.language_model.norm.weight",
        "1 tensors belong to no part of this network: model.language_model.layers.7.surprise",
        "lm_head.weight is [3, 3], not [",
        "model.visual.merger.ln_q.weight (I64)",
        "mask_token_id is 5, but the tokenizer's mask token is 6",
        "states no `licence`",
    ):
        assert part in message
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", "{", "config.json cannot be read as JSON"),
        ("config.json", "[]", "config.json must be a JSON object"),
        ("config.json", '{"a": 1, "a": 2}', "config.json: the key 'a' stands twice in one object"),
        ("echo_config.json", None, "echo_config.json is missing"),
        ("echo_config.json", '{"b": {"a": 1, "a": 1}}', "echo_config.json: the key 'a' stands twice"),
        ("echo_config.json", "{}", "missing key 'block_size'"),
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("tokenizer.json", "{}", "tokenizer.json is not a tokenizer"),
        ("model.safetensors", None, "there is neither model.safetensors nor"),
        ("model.safetensors", "nonsense", "model.safetensors is not a complete safetensors file"),
        ("model.safetensors.index.json", "[]", "must be a JSON object with a `weight_map`"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"a": "model-1.safetensors", "a": "model-2.safetensors"}}',
            "model.safetensors.index.json: the key 'a' stands twice in one object",
        ),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}',
            "of 2 weight files 1 are missing: model-1.safetensors",
        ),
    ],
)
def test_broken_files_are_named(
    saved: tuple[Path, Backbone], name: str, content: str | None, problem: str
) -> None:
    """Each file of the layout, missing or unreadable, has its own message."""
    directory, _ = saved
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_text(content)
    found = inspect_checkpoint(directory)
    assert problem in "\n".join(found.problems)
    assert "DOES NOT LOAD" in str(found)


def test_truncated_weights_are_noticed(saved: tuple[Path, Backbone]) -> None:
    """An incompletely downloaded file does not load."""
    directory, _ = saved
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "model.safetensors is not a complete safetensors file" in "\n".join(
        inspect_checkpoint(directory).problems
    )


def test_autoregressive_base_loads_with_a_given_sidecar(saved: tuple[Path, Backbone]) -> None:
    """A base without `echo_config.json` can be loaded if the caller supplies its content."""
    directory, _ = saved
    sidecar = json.loads((directory / "echo_config.json").read_text())
    (directory / "echo_config.json").unlink()
    assert load_checkpoint(directory, sidecar=sidecar).config.name == "tiny"


def test_saving_again_leaves_no_stale_shards(
    tmp_path: Path, make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer
) -> None:
    """A checkpoint overwritten in another layout consists only of the new files."""
    config = make_config()
    backbone = make_backbone(config, 1)
    for shard_bytes in (50_000, 10**9, 80_000):
        save_checkpoint(tmp_path, backbone, config, tokenizer, shard_bytes=shard_bytes)
        assert inspect_checkpoint(tmp_path).loads
        files = {p.name for p in tmp_path.glob("model*.safetensors")}
        assert files == {path.name for path in inspect_checkpoint(tmp_path).weights.files}


def test_full_size_skeleton_matches_the_published_configuration() -> None:
    """Names and shapes of the 7B network, on the meta device: 729 tensors, 8,292,166,656 weights."""
    shapes = Backbone.tensor_shapes(QWEN_7B)
    layer, block = "model.language_model.layers.{}.", "model.visual.blocks.{}."
    expected: dict[str, tuple[int, ...]] = {
        EMBEDDING: (152064, 3584),
        "model.language_model.norm.weight": (3584,),
        "lm_head.weight": (152064, 3584),
        "model.visual.patch_embed.proj.weight": (1280, 3, 2, 14, 14),
        "model.visual.merger.ln_q.weight": (1280,),
        "model.visual.merger.mlp.0.weight": (5120, 5120),
        "model.visual.merger.mlp.0.bias": (5120,),
        "model.visual.merger.mlp.2.weight": (3584, 5120),
        "model.visual.merger.mlp.2.bias": (3584,),
    }
    for i in range(28):
        for part, (rows, bias) in {
            "q": (3584, True),
            "k": (512, True),
            "v": (512, True),
            "o": (3584, False),
        }.items():
            expected[layer.format(i) + f"self_attn.{part}_proj.weight"] = (rows, 3584)
            if bias:
                expected[layer.format(i) + f"self_attn.{part}_proj.bias"] = (rows,)
        for part in ("gate", "up"):
            expected[layer.format(i) + f"mlp.{part}_proj.weight"] = (18944, 3584)
        expected[layer.format(i) + "mlp.down_proj.weight"] = (3584, 18944)
        for part in ("input_layernorm", "post_attention_layernorm"):
            expected[layer.format(i) + f"{part}.weight"] = (3584,)
    for i in range(32):
        for part in ("norm1", "norm2"):
            expected[block.format(i) + f"{part}.weight"] = (1280,)
        linear = {
            "attn.qkv": (3840, 1280),
            "attn.proj": (1280, 1280),
            "mlp.gate_proj": (3420, 1280),
            "mlp.up_proj": (3420, 1280),
            "mlp.down_proj": (1280, 3420),
        }
        for part, (rows, columns) in linear.items():
            expected[block.format(i) + f"{part}.weight"] = (rows, columns)
            expected[block.format(i) + f"{part}.bias"] = (rows,)
    assert {name: tuple(shape) for name, shape in shapes.items()} == expected
    assert len(shapes) == 729
    assert sum(shape.numel() for shape in shapes.values()) == 8_292_166_656


def test_full_size_skeleton_has_the_published_rotary_sections_and_windows() -> None:
    """M-RoPE [16, 24, 24]; full attention in vision layers 7, 15, 23 and 31."""
    with torch.device("meta"):
        network = Backbone.from_config(QWEN_7B, torch.bfloat16, initialise=False).network
    assert list(network.model.language_model.rotary_emb.mrope_section) == [16, 24, 24]
    assert list(network.model.visual.fullatt_block_indexes) == [7, 15, 23, 31]
    assert network.model.visual.window_size == 112
    assert network.lm_head.weight.device.type == "meta"
