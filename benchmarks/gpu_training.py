"""One step of RAD and one of DCD with adapters, for `benchmarks/gpu_figures.py`: time and peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.decode_models import make_workload
from benchmarks.decode_roofline import synchronise
from model.network.config import ModelConfig
from model.network.masks import rad_mask_batch
from model.network.positions import next_positions
from model.network.prompt import collate_prompts
from model.train.config import DcdConfig, LoraConfig, RadConfig, StageConfig
from model.train.loop import Batch
from model.train.lora import add_adapters
from model.train.noise import draw_noise
from model.train.objectives import DcdObjective, RadObjective, TextObjective
from model.train.optimizers import build_optimizers
from model.train.rad import with_copies

_STUDIES, _TOP = 2, 8


def training_rows(
    config: str, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """A row for each stage."""
    for name in ("rad", "dcd"):
        yield f"{name} step, LoRA", lambda name=name: _measure(name, config, device, dtype)  # type: ignore[misc]


def _measure(name: str, config: str, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    work = make_workload(config, device, dtype, for_decoding=False)
    backbone, model = work.reference, work.config
    lora = LoraConfig(rank=16)
    add_adapters(backbone, lora)
    backbone.network.model.language_model.activation_checkpointing_enable()
    section: StageConfig
    objective: TextObjective
    if name == "rad":
        section = RadConfig(steps=1, batch=_STUDIES, rate=1e-4, lora=lora)
        objective = RadObjective(backbone, model)
    else:
        section = DcdConfig(steps=1, batch=_STUDIES, rate=1e-4, lora=lora)
        objective = DcdObjective(backbone, model, step_weights=True, eos_weight=0.1, divergence="forward")
    objective.train()
    optimizers = build_optimizers(objective, section)
    films = [work.prompt(study) for study in work.films(_STUDIES)]
    prompts = collate_prompts(films, model, work.tokenizer.pad_id).to(device)
    with torch.no_grad():
        features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
    positions = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)
    rows = _rows(name, model, work.scale.report_tokens)
    rows |= {
        "prompt": prompts.input_ids,
        "prompt_valid": prompts.valid,
        "prompt_positions": positions.transpose(0, 1),
        "next": next_positions(positions, prompts.valid),
    }
    copies = 2 if name == "rad" else 1
    answers = torch.ones(_STUDIES, rows["answer"].shape[1], dtype=torch.bool, device=device)
    mask = rad_mask_batch(prompts.valid, answers, model.block_size)
    rows["mask"] = with_copies(mask, prompts.valid.shape[1], answers.shape[1], copies)
    per_study = list(features.split(len(features) // _STUDIES))  # type: ignore[no-untyped-call]
    batch = Batch(rows={**rows, "features": per_study}, total=_STUDIES).to(device)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        objective(batch).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    sequence = rows["prompt"].shape[1] + (1 + copies) * answers.shape[1]
    return {"studies": _STUDIES, "sequence": sequence, "step_seconds": seconds[-1]}


def _rows(name: str, model: ModelConfig, length: int) -> dict[str, torch.Tensor]:
    """Answers of `length` tokens, with the noise of RAD or the trajectory of DCD."""
    chance = torch.Generator().manual_seed(1)
    answer = torch.randint(10, 60, (_STUDIES, length), generator=chance)
    rows = {"answer": answer, "valid": torch.ones_like(answer, dtype=torch.bool)}
    if name == "rad":
        noise = draw_noise(_STUDIES, length, model.block_size, chance, complementary=True)
        return rows | {"masked": noise.masked, "weight": noise.weight}
    ids = torch.randint(10, 60, (_STUDIES, length, _TOP), generator=chance)
    shares = torch.full((_STUDIES, length, _TOP), 1.0 / _TOP)
    steps = torch.ones_like(answer)
    return rows | {"drafts": answer, "steps": steps, "top_ids": ids, "top_probabilities": shares}
