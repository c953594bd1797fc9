"""The decode benchmark on a GPU, with the toy configuration: the code path of the 7B configuration."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import decode

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def test_benchmark_runs_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Including graphs, asynchronous stops and memory counts; fused and unfused agree in float32."""
    decode.main(
        [
            "--config",
            "toy",
            "--device",
            "cuda",
            "--dtype",
            "float32",
            "--batch",
            "1",
            "2",
            "--quick",
            "--json",
        ]
    )
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["agreement"] == 1.0
    assert {row["batch"] for row in result["rows"]} == {1, 2}
