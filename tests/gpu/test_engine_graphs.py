"""The engine's CUDA graphs against its eager step, on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.decode.engine import Engine
from model.decode.steps import Method
from model.network.backbone import Backbone
from model.network.config import Stage, tiny_config
from model.network.prompt import PROMPT_WORDS, build_prompt
from model.network.tokenizer import train_tokenizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("steps", [1, 2])
def test_replayed_steps_equal_eager_steps(steps: int, method: Method) -> None:
    """Graph and eager give the same tokens in float32, with fewer slots than reports."""
    tokenizer = train_tokenizer(["No pneumothorax."] * 3, required=PROMPT_WORDS)
    assert tokenizer.mask_id is not None
    config = tiny_config(
        vocab_size=tokenizer.vocab_size,
        image_token_id=tokenizer.image_id,
        mask_token_id=tokenizer.mask_id,
        eos_token_id=tokenizer.eos_id,
        stage=Stage.ECHO,
        denoising_steps=steps,
        max_tokens=48,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        backbone = Backbone.from_config(config.network).eval()
    backbone.prepare_for_inference()
    rng = np.random.default_rng(0)
    prompts = [
        build_prompt(tokenizer, config, [rng.integers(0, 256, (90, 90), np.uint8)] * (1 + number % 2))
        for number in range(7)
    ]

    def decode(graphs: bool) -> list[tuple[int, ...]]:
        engine = Engine(
            backbone,
            config,
            pad_id=tokenizer.pad_id,
            slots=3,
            longest_prompt=160,
            method=method,
            graphs=graphs,
        )
        return [report.tokens for report in engine.decode(prompts)]

    assert decode(graphs=True) == decode(graphs=False)
