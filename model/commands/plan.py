"""What `echo-model train … --plan` prints: the memory and time that a stage will need."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from model.errors import CheckpointError
from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.inspection import CONFIG, SIDECAR
from model.train.config import TrainingConfig, TrainingConfigError, load_training_config
from model.train.plan import GPUS, lines_of, plan_recipe, reached, sections


def plan_lines(file: Path, stage: str, gpu: str | None, processes: int) -> Iterator[str]:
    """The plan of a stage, or of all for `all`. Raises: TrainingConfigError, CheckpointError."""
    recipe = load_training_config(file)
    names = sections(recipe) if stage == "all" else [stage]
    if not set(names) <= set(sections(recipe)):
        raise TrainingConfigError(f"stage {stage!r} cannot be planned; there are all, {sections(recipe)}")
    _check_files(recipe)
    model = _model(recipe)
    total = sum(shape.numel() for shape in Backbone.tensor_shapes(model.network).values())
    rate, memory = _machine(gpu)
    yield f"{total / 1e9:.2f} billion weights, {recipe.precision}, at {rate / 1e12:.1f} TFLOP/s a process"
    for name in names:
        yield from lines_of(plan_recipe(recipe, name, model, total, processes), rate, memory)


def _check_files(recipe: TrainingConfig) -> None:
    """Refuse a recipe whose data files are not there: training would end where the plan promised time."""
    places = {"data": recipe.data, "distillation": recipe.distillation, "validation": recipe.validation}
    missing = [
        f"{name}.json_lines.file: {data.json_lines.file} does not exist; write its path relative to the "
        "working directory, or make it with echo-model data"
        for name, data in places.items()
        if data is not None and data.json_lines is not None and not data.json_lines.file.is_file()
    ]
    if missing:
        raise TrainingConfigError("; ".join(missing))


def _model(recipe: TrainingConfig) -> ModelConfig:
    """The configuration of the checkpoint that the recipe starts from; its weights need not be present."""
    if recipe.start is None:
        raise TrainingConfigError("a plan needs `start`: the base whose sizes are planned for")
    parts = []
    for name in (CONFIG, SIDECAR):
        try:
            parts.append(json.loads((recipe.start / name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            problem = f"{name} is missing or no JSON; echo-model init makes a base ready"
            raise CheckpointError(str(recipe.start), [problem]) from error
    return ModelConfig.from_sidecar(*parts)


def _machine(gpu: str | None) -> tuple[float, float]:
    """FLOP/s and memory (bytes) of one process, here or on a named GPU."""
    if gpu is not None:
        if gpu not in GPUS:
            raise TrainingConfigError(f"no figures are known of {gpu!r}; there are {sorted(GPUS)}")
        return reached(gpu)
    if torch.cuda.is_available():
        _, memory = torch.cuda.mem_get_info()
        return _measured(torch.device("cuda"), torch.bfloat16), float(memory)
    return _measured(torch.device("cpu"), torch.float32), float(psutil.virtual_memory().total)


def _measured(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a plain matrix product; training reaches about six tenths of it."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(4):
        started = time.perf_counter()
        product = left @ right
        float(product[0, 0])
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return 0.6 * best
