"""The decode benchmark on a toy network: every row and ratio is present; the 7B run takes the same path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import decode, decode_roofline
from benchmarks.decode_models import SCALES, _lingshu, make_workload
from benchmarks.decode_roofline import Forward, Machine, floor_seconds
from benchmarks.decode_run import GenerateContestant
from model.network.config import NetworkShape, tiny_network
from model.network.inference import plain_linear
from model.network.prompt import PROMPT_WORDS
from model.network.tokenizer import train_tokenizer

RATIOS = {
    "fused_vs_unfused",
    "fused_vs_strong_ar",
    "fused_vs_generate",
    "step_vs_roofline",
    "report_vs_strong_ar",
}


def test_benchmark_measures_every_decoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two batches in the toy shape: equal token counts, the forwards of each decoder, and a picture."""
    picture = tmp_path / "decode.png"
    command = ["--config", "toy", "--batch", "1", "2", "--quick", "--json", "--plot", str(picture)]
    decode.main(command)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    forwards = {(row["decoder"], row["batch"]): row["forwards_per_report"] for row in result["rows"]}
    per_report = {
        "generate": 24,
        "autoregressive": 24,
        "multi-step": 6 * 3,
        "one-step unfused": 12,
        "fused": 7,
        "fused, first block in prefill": 6,
    }
    assert forwards == {(name, batch): n for name, n in per_report.items() for batch in (1, 2)}
    assert result["ratios"].keys() >= RATIOS
    assert result["agreement"] == 1.0
    assert result["flat"]["late_block"] == 40
    assert all(row["report_ms"] > 0 and row["floor_ms"] > 0 for row in result["rows"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_seven_billion_parameters_ask_for_a_gpu() -> None:
    """On a CPU, or without a CUDA device, the reason is reported at once."""
    with pytest.raises(SystemExit, match="needs a GPU"):
        decode.main(["--config", "7b"])
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="finds no CUDA device"):
            decode.main(["--config", "7b", "--device", "cuda"])


def test_seven_billion_parameters_have_the_published_shape() -> None:
    """Two images give about 2,000 visual tokens; layers and head have 7 billion parameters."""
    tokenizer = train_tokenizer(["No pneumothorax."] * 3, required=PROMPT_WORDS)
    shape = NetworkShape.of(_lingshu(tokenizer))
    per_layer = sum(one.out * one.into for one in decode_roofline.layer_matrices(shape))
    assert round((per_layer * shape.layers + shape.vocab_size * shape.hidden) / 1e9, 2) == 7.07
    assert 2 * (SCALES["7b"].image_size // 28) ** 2 == 2048


def test_floor_is_the_slower_of_reading_and_arithmetic() -> None:
    """With unlimited arithmetic the floor is the weights' bytes over the bandwidth, and vice versa."""
    shape = NetworkShape.of(tiny_network(vocab_size=100, image_token_id=5, eos_token_id=2))
    weights = sum(one.out * one.into for one in decode_roofline.layer_matrices(shape)) * shape.layers
    weights += shape.vocab_size * shape.hidden
    one = Forward(rows=1, head_rows=1, slots=1, columns=0.0)

    def machine(bandwidth: float, rate: float) -> Machine:
        limits = Machine(device=torch.device("cpu"), dtype=torch.float32, shape=shape, makes=(plain_linear,))
        limits.bandwidth, limits.rates = bandwidth, {1: rate}
        return limits

    assert floor_seconds(machine(1e9, 1e30), one) == pytest.approx(4.0 * weights / 1e9)
    assert floor_seconds(machine(1e30, 1e9), one) == pytest.approx(2.0 * weights / 1e9)


def test_no_decoder_of_the_benchmark_stops_early() -> None:
    """The end token is one that is never generated."""
    work = make_workload("toy", torch.device("cpu"), torch.float32)
    assert work.options.eos_token_id == work.options.image_token_id
    assert work.options.max_tokens == SCALES["toy"].report_tokens


def test_generate_writes_as_many_tokens_as_the_others() -> None:
    """The network's own end token is not chosen, even where it is the most likely one."""
    work = make_workload("toy", torch.device("cpu"), torch.float32)
    prompts = [work.prompt(work.films(1)[0])]
    generate = GenerateContestant(work, 1, len(prompts[0].input_ids))
    (free,) = generate.run(prompts, 12).tokens
    work.reference.network.generation_config.eos_token_id = free[3]
    (held,) = generate.run(prompts, 12).tokens
    assert held[:3] == free[:3]
    assert free[3] not in held
    assert len(held) == 12
