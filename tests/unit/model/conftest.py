"""Small random networks, tokenizers and prompts for the model's unit tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from model.network.backbone import Backbone
from model.network.config import ModelConfig, Stage, tiny_config, tiny_network
from model.network.prompt import PROMPT_WORDS, PromptBatch, build_prompt, collate_prompts
from model.network.tokenizer import ReportTokenizer, train_tokenizer

SENTENCES = ["Findings: No pneumothorax. The heart is enlarged. Impression: Small left effusion."] * 5


@pytest.fixture(scope="session")
def tokenizer() -> ReportTokenizer:
    """A vocabulary of a few report words and all bytes."""
    return train_tokenizer(SENTENCES, required=PROMPT_WORDS)


@pytest.fixture(scope="session")
def make_config(tokenizer: ReportTokenizer) -> Callable[..., ModelConfig]:
    """Configurations of a very small network (hidden 64, 2 layers, 56 px); fields can be replaced."""

    def make(*, window: int | None = None, **fields: object) -> ModelConfig:
        assert tokenizer.mask_id is not None
        network = tiny_network(
            vocab_size=tokenizer.vocab_size,
            image_token_id=tokenizer.image_id,
            eos_token_id=tokenizer.eos_id,
            hidden=64,
            layers=2,
            heads=4,
            kv_heads=2,
            ffn=96,
            vision_hidden=32,
            vision_layers=2,
            vision_heads=2,
            vision_ffn=48,
            window=window,
        )
        return tiny_config(
            vocab_size=tokenizer.vocab_size,
            image_token_id=tokenizer.image_id,
            mask_token_id=tokenizer.mask_id,
            eos_token_id=tokenizer.eos_id,
            network=network,
            **{"image_size": 56, "stage": Stage.ECHO, "max_tokens": 40, **fields},
        )

    return make


@pytest.fixture(scope="session")
def make_backbone() -> Callable[[ModelConfig, int], Backbone]:
    """Random networks with weights large enough that the argmax depends on context and position."""

    def make(config: ModelConfig, seed: int) -> Backbone:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = Backbone.from_config(config.network).eval()
            with torch.no_grad():
                for name, weight in backbone.named_parameters():
                    if weight.ndim > 1:
                        weight.normal_(std=1.0 if "embed_tokens" in name else weight[0].numel() ** -0.5 * 1.5)
        return backbone

    return make


@pytest.fixture(scope="session")
def make_prompts(tokenizer: ReportTokenizer) -> Callable[..., PromptBatch]:
    """Batches of noise studies, given the number of images per study; prompts differ in length."""

    def make(config: ModelConfig, images: Sequence[int] = (2, 1, 2), seed: int = 0) -> PromptBatch:
        rng = np.random.default_rng(seed)
        prompts = [
            build_prompt(
                tokenizer,
                config,
                [rng.integers(0, 256, (60, 50 + row), dtype=np.uint8) for _ in range(count)],
                indication="cough " * row,
            )
            for row, count in enumerate(images)
        ]
        return collate_prompts(prompts, config, tokenizer.pad_id)

    return make
