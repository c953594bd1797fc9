"""Two processes with sharded weights learn what one process learns, even if they are killed in between."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from model.network.checkpoint import inspect_checkpoint, load_checkpoint
from tests.unit.model.train.sharded_run import run_stages

STEP = {"steps": 4, "batch": 4, "rate": 1e-3, "warmup": 1, "validation_examples": 3, "save_every": 2}
SIZES = {
    "hidden": 48, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 64,
    "vision_hidden": 32, "vision_heads": 2, "vision_layers": 1, "vision_ffn": 48,
}  # fmt: skip
REPORTS = ("No pneumothorax.", "The heart is enlarged.", "Small left pleural effusion.", "No mass.")


def _data(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    lines = []
    for number in range(8):
        name = f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (60, 50), dtype=np.uint8)).save(folder / name)
        images = [name] if number % 3 else [name, name]
        report = {"findings": REPORTS[number % 4], "impression": REPORTS[(number + 1) % 4]}
        lines.append(json.dumps({"id": number, "images": images, "indication": "cough", **report}))
    file = folder / "data.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def _recipe(folder: Path, name: str, data: Path, **changes: Any) -> Path:
    source = {"json_lines": {"file": str(data)}}
    recipe = {
        "name": name,
        "run": str(folder / name),
        "network": SIZES,
        "max_tokens": 48,  # longer than any report of the data; an untrained network always writes that many
        "features": "none",
        "data": source,
        "validation": source,
        "ar": {**STEP, "steps": 2},
        "rad": {**STEP, "micro_batch": 1},
        "rollout": {"examples": 8, "batch": 2, "top": 4, "legal_only": False},
        "dcd": STEP,
        "t3d": STEP,
    } | changes
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


def _losses(run: Path, stage: str) -> list[float]:
    lines = (run / stage / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def _figures(run: Path, stage: str) -> dict[str, float]:
    last = json.loads((run / stage / "log.jsonl").read_text().splitlines()[-1])
    return {key: value for key, value in last.items() if key.startswith("validation_")}


@pytest.mark.timeout(600)
def test_all_stages_on_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    """AR, RAD, rollout, DCD and T3D; RAD is killed after its third step and continues from its second."""
    data = _data(tmp_path)
    one, two = (_recipe(tmp_path, name, data) for name in ("one", "two"))
    assert run_stages(one, "ar,rad,rollout,dcd,t3d", 1) == [0]

    killed = run_stages(two, "ar,rad", 2, kill_after=3)
    assert killed[0] == -signal.SIGKILL
    assert not (tmp_path / "two" / "rad" / "done").exists()
    assert run_stages(two, "rad,rollout,dcd,t3d", 2) == [0, 0]

    for stage in ("ar", "rad", "dcd", "t3d"):
        expected = _losses(tmp_path / "one", stage)
        assert _losses(tmp_path / "two", stage) == pytest.approx(expected, rel=1e-4), stage
        assert len(expected) == (2 if stage == "ar" else 4)
    assert _figures(tmp_path / "two", "rad").keys() == _figures(tmp_path / "one", "rad").keys()
    assert (tmp_path / "two" / "rollout" / "summary.json").read_text() == (
        tmp_path / "one" / "rollout" / "summary.json"
    ).read_text()
    assert load_checkpoint(tmp_path / "two" / "dcd").config.denoising_steps == 1


@pytest.mark.timeout(600)
def test_adapters_on_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    """RAD and DCD with LoRA give the same losses, and merged checkpoints that agree."""
    data = _data(tmp_path)
    once = {**STEP, "steps": 1, "warmup": 0}
    lora = {**STEP, "steps": 2, "freeze_vision": True, "lora": {"rank": 2, "alpha": 4.0}}
    stages = {
        "ar": once,
        "rad": lora,
        "dcd": lora,
        "t3d": None,
        "features": "disk",
    }
    runs = {count: _recipe(tmp_path, f"lora-{count}", data, **stages) for count in (1, 2)}

    for count, recipe in runs.items():
        assert run_stages(recipe, "ar,rad,rollout,dcd", count) == [0] * count

    for stage in ("rad", "dcd"):
        expected = _losses(tmp_path / "lora-1", stage)
        assert _losses(tmp_path / "lora-2", stage) == pytest.approx(expected, rel=1e-4), stage
    one, two = (load_checkpoint(tmp_path / f"lora-{count}" / "dcd").backbone for count in (1, 2))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.timeout(600)
def test_half_precision_trains_with_float32_masters(tmp_path: Path) -> None:
    """bfloat16 weights, activation checkpointing and adapters: float32's losses nearly, bfloat16 on disk.

    Adapters train other weights, so that only their first loss is that of the full run.
    """
    data = _data(tmp_path)
    section = {**STEP, "steps": 2, "freeze_vision": True, "micro_batch": 2}
    common = {"ar": {**STEP, "steps": 1, "warmup": 0}, "rollout": None, "dcd": None, "t3d": None}
    lora = {**section, "lora": {"rank": 2}}
    half = {"precision": "bfloat16", "checkpoint_activations": True}
    recipes = {
        "full": _recipe(tmp_path, "full", data, **common, rad=section),
        "half": _recipe(tmp_path, "half", data, **common, **half, rad=section),
        "adapted": _recipe(tmp_path, "adapted", data, **common, **half, rad=lora),
    }
    for recipe in recipes.values():
        assert run_stages(recipe, "ar,rad", 1) == [0]

    expected = _losses(tmp_path / "full", "rad")
    assert _losses(tmp_path / "half", "rad") == pytest.approx(expected, rel=0.03)
    assert _losses(tmp_path / "adapted", "rad")[0] == pytest.approx(expected[0], rel=0.03)
    for name in ("half", "adapted"):
        assert set(inspect_checkpoint(tmp_path / name / "rad").types) == {"BF16"}


@pytest.mark.timeout(600)
def test_a_rollout_that_is_killed_goes_on_with_the_part_that_is_missing(tmp_path: Path) -> None:
    """After SIGKILL at the second of four parts, the run continues with the third, with the same result."""
    data = _data(tmp_path)
    short = {
        "ar": {**STEP, "steps": 1, "warmup": 0},
        "rad": {**STEP, "steps": 1, "warmup": 0},
        "dcd": None,
        "t3d": None,
    }
    whole, killed = (_recipe(tmp_path, name, data, **short) for name in ("whole", "killed"))
    assert run_stages(whole, "ar,rad,rollout", 1) == [0]

    assert run_stages(killed, "ar,rad", 1) == [0]
    assert run_stages(killed, "rollout", 1, kill_after=4) == [-signal.SIGKILL]
    folder = tmp_path / "killed" / "rollout"
    parts = {file.name: file.stat().st_mtime_ns for file in sorted((folder / "parts").iterdir())}
    (folder / "parts" / "000002.new").write_bytes(b"half a part")
    assert list(parts) == ["000000.safetensors", "000001.safetensors"]
    assert not (folder / "done").exists()
    assert run_stages(killed, "rollout", 1) == [0]

    stored = [
        load_file(tmp_path / name / "rollout" / "trajectories.safetensors") for name in ("whole", "killed")
    ]
    assert stored[0].keys() == stored[1].keys()
    assert all(torch.equal(tensor, stored[1][name]) for name, tensor in stored[0].items())
    assert not (folder / "parts").exists()
