"""`inspect` on damaged and unsupported checkpoints: it never raises, names the problem, and exits with 1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from model.commands.cli import app
from model.errors import CheckpointError
from model.network.checkpoint import load_checkpoint
from model.network.initialise import Choices, initialise
from tests.support.published_base import write_base

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in shards that loads."""
    base = write_base(tmp_path_factory.mktemp("bases") / "base")
    initialise(base, Choices(licence="Apache-2.0"))
    return base


def put(file: str, *place: str, value: Any) -> Damage:
    """Return a function that sets a value of a JSON file."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        part = content
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = value
        (folder / file).write_text(json.dumps(content))

    return damage


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def no_first_shard(folder: Path) -> None:
    _shards(folder)[0].unlink()


def short_shard(folder: Path) -> None:
    last = _shards(folder)[-1]
    last.write_bytes(last.read_bytes()[:-7])


def empty_shard(folder: Path) -> None:
    _shards(folder)[1].write_bytes(b"")


def whole_numbers(folder: Path) -> None:
    shard = _shards(folder)[0]
    tensors = load_file(shard)
    save_file({name: tensor.to(torch.int8) for name, tensor in tensors.items()}, shard)


def no_special_tokens(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content))


def lfs_pointers(folder: Path) -> None:
    for shard in _shards(folder):
        shard.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4\n")


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("weights")


CASES: dict[str, tuple[Damage, str]] = {
    "missing shard": (no_first_shard, "weight files 1 are missing"),
    "truncated shard": (short_shard, "is not a complete safetensors file"),
    "empty shard": (empty_shard, "is not a complete safetensors file"),
    "wrong types": (whole_numbers, "tensors are not fp32, bf16 or fp16"),
    "files elsewhere": (
        put("model.safetensors.index.json", "weight_map", "lm_head.weight", value="../secret"),
        "names files of another folder",
    ),
    "number for a file": (
        put("model.safetensors.index.json", "weight_map", "lm_head.weight", value=5),
        "weight files 1 are missing",
    ),
    "one layer too many": (put("config.json", "num_hidden_layers", value=3), "tensors are missing"),
    "one layer too few": (put("config.json", "num_hidden_layers", value=1), "belong to no part"),
    "wider": (put("config.json", "hidden_size", value=128), "another size than config.json says"),
    "other network": (put("config.json", "model_type", value="llama"), "describes 'llama'"),
    "newer network": (put("config.json", "model_type", value="qwen3_vl"), "describes 'qwen3_vl'"),
    "text as a size": (put("config.json", "vocab_size", value="many"), "vocab_size is 'many'"),
    "true as a size": (put("config.json", "num_attention_heads", value=True), "num_attention_heads is True"),
    "no heads": (put("config.json", "num_attention_heads", value=0), "num_attention_heads is 0"),
    "uneven heads": (put("config.json", "num_attention_heads", value=5), "is not a multiple of"),
    "too many layers": (put("config.json", "num_hidden_layers", value=10**6), "more than 1000"),
    "vision is a number": (put("config.json", "vision_config", value=7), "must be a JSON object"),
    "no patch": (put("config.json", "vision_config", "patch_size", value=0), "patch_size is 0"),
    "unknown rotation": (
        put("config.json", "rope_scaling", "rope_type", value="odd"),
        "describes no network that can be built",
    ),
    "no sections of rotation": (
        put("config.json", "rope_scaling", value={"type": "mrope"}),
        "mrope_section is None; it must be three sections of together 8",
    ),
    "sections of another width": (
        put("config.json", "rope_scaling", "mrope_section", value=[16, 24, 24]),
        "mrope_section is [16, 24, 24]; it must be three sections of together 8",
    ),
    "rotation that would be dropped": (
        put("config.json", "rope_scaling", "type", value="yarn"),
        "states the type 'yarn'; state it as rope_type too",
    ),
    "sliding windows": (put("config.json", "use_sliding_window", value=True), "sliding-window attention"),
    "pointers of Git LFS": (lfs_pointers, "Git LFS pointers; fetch the files (git lfs pull)"),
    "epsilon as text": (put("config.json", "rms_norm_eps", value="x"), "rms_norm_eps is 'x'; it must be"),
    "block size as text": (put("echo_config.json", "block_size", value="8"), "block_size is '8'"),
    "no instruction": (put("echo_config.json", "instructions", value=None), "instructions is None"),
    "numbers as texts": (put("echo_config.json", "instructions", "en", value=7), "instructions is"),
    "order as a number": (put("echo_config.json", "image_order", value=7), "image_order is 7"),
    "unknown stage": (put("echo_config.json", "stage", value="done"), "stage is 'done', not one of"),
    "no special tokens": (no_special_tokens, "the tokenizer lacks <|endoftext|>"),
    "no folder": (no_folder, "config.json is missing"),
    "a file": (a_file, "config.json cannot be read"),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_named_and_the_exit_status_is_one(ready: Path, tmp_path: Path, case: str) -> None:
    """A checkpoint that does not load is never reported as loadable; loading it raises the expected error."""
    damage, reason = CASES[case]
    folder = tmp_path / "base"
    shutil.copytree(ready, folder)
    damage(folder)

    found = CliRunner().invoke(app, ["inspect", str(folder)])

    assert found.exit_code == 1, found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    assert reason in found.output
    assert "DOES NOT LOAD" in found.output
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_an_undamaged_copy_loads(ready: Path) -> None:
    """The counterpart: the same base undamaged exits with 0."""
    assert CliRunner().invoke(app, ["inspect", str(ready)]).exit_code == 0
