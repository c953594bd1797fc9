"""Weights of eight bits for `benchmarks/gpu_figures.py`: int8 in decoding, FP8 in a single product."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.decode_models import make_workload
from benchmarks.decode_roofline import synchronise
from model.decode.engine import Engine
from model.decode.steps import Method
from model.network.device import DeviceChoice
from model.reporting.quantization import int8_linear

_ROWS, _SIZE = 16, 3584  # the rows of a fused step at batch 1, and the width of the 7B network
_REHEARSED = 64  # the width on a CPU, where only the code path counts


def int8_row(config: str, choice: DeviceChoice) -> dict[str, Any]:
    """Seconds per report at batch 1 with int8 weights, fused."""
    work = make_workload(config, choice.device, choice.dtype, for_decoding=False)
    work.backbone.prepare_for_inference(int8_linear)
    prompt = work.prompt(work.films(1)[0])
    engine = Engine(
        work.backbone, work.config, pad_id=work.tokenizer.pad_id, slots=1,
        longest_prompt=len(prompt.input_ids), method=Method.FUSED,
    )  # fmt: skip
    engine.decode([prompt], work.options)
    synchronise(choice.device)
    started = time.perf_counter()
    (report,) = engine.decode([prompt], work.options)
    synchronise(choice.device)
    return {"report_seconds": time.perf_counter() - started, "forwards": report.forwards}


def fp8_row(device: torch.device) -> dict[str, Any]:
    """Microseconds for a product of 16 rows in FP8 and in bfloat16, if the device supports FP8."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 9):
        return {"skipped": "the device has no FP8"}
    size = _SIZE if device.type == "cuda" else _REHEARSED
    rows = torch.randn(_ROWS, size, device=device, dtype=torch.bfloat16)
    weight = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    one = torch.ones((), device=device)
    left, right = rows.to(torch.float8_e4m3fn), weight.to(torch.float8_e4m3fn).t()

    def narrow() -> None:
        torch._scaled_mm(left, right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return {
        "fp8_us": _microseconds(narrow, device),
        "bfloat16_us": _microseconds(lambda: rows @ weight.t(), device),
    }


def _microseconds(work: Any, device: torch.device, runs: int = 200) -> float:
    for _ in range(10):
        work()
    synchronise(device)
    started = time.perf_counter()
    for _ in range(runs):
        work()
    synchronise(device)
    return 1e6 * (time.perf_counter() - started) / runs
