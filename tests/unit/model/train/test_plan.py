"""The memory that a plan predicts for a step, compared with the measured peak of a process.

test_plan.py CASE     that process: it prints its peak in bytes
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from model.network.backbone import Backbone
from model.network.config import ModelConfig, NetworkShape, Stage, tiny_network
from model.network.masks import rad_mask_batch
from model.train.config import LoraConfig, RadConfig, TrainingConfig
from model.train.loop import Batch
from model.train.lora import add_adapters
from model.train.noise import draw_noise
from model.train.objectives import RadObjective
from model.train.optimizers import build_optimizers
from model.train.plan import Load, plan_load
from model.train.rad import with_copies
from tests.support.warm_python import warm_run

LOAD = Load(prompt=120, answer=48, micro_batch=4, processes=1)
IMAGE_TOKENS, BLOCK = 36, 8
# hidden size, layers, feed-forward size, vocabulary, adapters, activation checkpointing
CASES = {
    "small": (256, 4, 1024, 2_000, False, False),
    "middle": (384, 4, 1536, 8_000, False, True),
    "large": (512, 5, 2048, 16_000, True, False),
}


def _network(case: str) -> dict[str, object]:
    hidden, layers, ffn, vocabulary, _, _ = CASES[case]
    return tiny_network(
        vocab_size=vocabulary, image_token_id=5, eos_token_id=1, hidden=hidden, layers=layers, heads=8,
        kv_heads=2, ffn=ffn,
    )  # fmt: skip


def _recipe(case: str) -> TrainingConfig:
    data = {"phantoms": {"count": 4}}
    return TrainingConfig.model_validate(
        {"name": "x", "run": "x", "data": data, "validation": data, "checkpoint_activations": CASES[case][5]}
    )


def _section(case: str) -> RadConfig:
    lora = LoraConfig(rank=8) if CASES[case][4] else None
    return RadConfig(steps=1, batch=LOAD.micro_batch, rate=1e-3, lora=lora)


def step(case: str) -> int:
    """Run two steps of RAD; return the peak in bytes of the process's memory above its start."""
    torch.set_num_threads(1)
    # Freed blocks are returned at once, so that the peak is of used memory only.
    ctypes.CDLL("libc.so.6").mallopt(-3, 65_536)
    before = _reset_peak()
    network = _network(case)
    config = ModelConfig(
        network=network, block_size=BLOCK, mask_token_id=2, eos_token_id=1, stage=Stage.AR, image_size=168
    )
    backbone = Backbone.from_config(network)
    backbone.freeze_vision()
    section = _section(case)
    if section.lora is not None:
        add_adapters(backbone, section.lora)
    if CASES[case][5]:
        backbone.network.model.language_model.activation_checkpointing_enable()
    objective = RadObjective(backbone, config).train()
    optimizers = build_optimizers(objective, section)

    for _ in range(2):
        objective(_batch(config)).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return _peak() - before


def _reset_peak() -> int:
    """Reset the kernel's peak of this process's resident memory; return the present value in bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)
    return _peak()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


def _batch(config: ModelConfig) -> Batch:
    rows, prompt, answer = LOAD.micro_batch, LOAD.prompt, LOAD.answer
    ids = torch.full((rows, prompt), 7)
    ids[:, 1 : 1 + IMAGE_TOKENS] = 5
    everywhere = torch.ones(rows, prompt, dtype=torch.bool)
    noise = draw_noise(rows, answer, BLOCK, torch.Generator().manual_seed(1), complementary=True)
    mask = rad_mask_batch(everywhere, torch.ones(rows, answer, dtype=torch.bool), BLOCK)
    return Batch(
        rows={
            "prompt": ids,
            "prompt_valid": everywhere,
            "prompt_positions": torch.arange(prompt).expand(rows, 3, prompt),
            "next": torch.full((rows,), prompt),
            "answer": torch.full((rows, answer), 9),
            "valid": torch.ones(rows, answer, dtype=torch.bool),
            "features": [torch.zeros(IMAGE_TOKENS, config.shape.hidden) for _ in range(rows)],
            "masked": noise.masked,
            "weight": noise.weight,
            "mask": with_copies(mask, prompt, answer, 2),
        },
        total=rows,
    )


def measured(case: str) -> int:
    """Return the peak in bytes of two steps in a fresh process."""
    done = warm_run([sys.executable, __file__, case], text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def planned(case: str) -> tuple[int, dict[str, int]]:
    """Return what the plan predicts for the same step."""
    network = _network(case)
    shape = NetworkShape.of(network)
    total = sum(one.numel() for one in Backbone.tensor_shapes(network).values())
    plan = plan_load("rad", _recipe(case), _section(case), shape, total, LOAD)
    return plan.bytes, dict(plan.parts)


@pytest.mark.parametrize("case", CASES)
def test_planned_memory_is_within_fifteen_per_cent_of_the_measured_peak(case: str, tmp_path: Path) -> None:
    """Full training, with activation checkpointing and with adapters, at three sizes."""
    promised, parts = planned(case)

    assert promised == pytest.approx(measured(case), rel=0.15), parts


if __name__ == "__main__":
    print(step(sys.argv[1]))
