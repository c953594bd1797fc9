"""The networks that `benchmarks/decode.py` decodes with, and the studies that it gives them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import model
from model.decode.options import DecodeOptions
from model.network.backbone import Backbone
from model.network.checkpoint import load_checkpoint
from model.network.config import ModelConfig, Stage, tiny_network
from model.network.prompt import PROMPT_WORDS, Prompt, build_prompt
from model.network.tokenizer import ReportTokenizer, train_tokenizer

SEED = 20260409
SHIPPED = Path(model.__file__).parent / "demo_checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The size of a benchmark: image side in px, report in tokens, side of the films that come in."""

    image_size: int
    report_tokens: int
    film: int
    block_size: int = 8


SCALES = {
    "tiny": Scale(image_size=168, report_tokens=96, film=1024),
    "mid": Scale(image_size=168, report_tokens=96, film=1024),
    # Two images of 32 x 32 visual tokens: about 2,000 in a prompt.
    "7b": Scale(image_size=896, report_tokens=160, film=2048),
    # The code path of `7b` with sizes that a test can run.
    "toy": Scale(image_size=56, report_tokens=24, film=64, block_size=4),
}
SIZES = {
    # 199 million parameters in layers and head, in about the proportions of the 7B network.
    "mid": {
        "vocab_size": 16_384,
        "hidden": 1024,
        "layers": 12,
        "heads": 16,
        "kv_heads": 4,
        "ffn": 4096,
        "vision_hidden": 256,
        "vision_layers": 4,
        "vision_heads": 4,
        "vision_ffn": 768,
    },
    "toy": {
        "hidden": 64,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "ffn": 96,
        "vision_hidden": 32,
        "vision_layers": 2,
        "vision_heads": 2,
        "vision_ffn": 48,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """A network, twice (as run by transformers, and by us), and how studies become its prompts.

    config: its end token is one that no decoder ever chooses, so that all generate the same number of tokens.
    """

    scale: Scale
    reference: Backbone
    backbone: Backbone
    config: ModelConfig
    tokenizer: ReportTokenizer

    @property
    def options(self) -> DecodeOptions:
        """One step per block, the whole length."""
        return DecodeOptions.of(self.config, max_tokens=self.scale.report_tokens, steps=1)

    def columns(self, longest_prompt: int) -> float:
        """Cached tokens that a row sees, on average over a report."""
        return longest_prompt + self.scale.report_tokens / 2

    def films(self, count: int) -> list[list[npt.NDArray[np.uint8]]]:
        """Studies of a frontal and a lateral film with only noise: the content does not affect the time."""
        rng = np.random.default_rng(SEED)
        side = self.scale.film
        return [[rng.integers(0, 256, (side, side), np.uint8) for _ in range(2)] for _ in range(count)]

    def prompt(self, films: list[npt.NDArray[np.uint8]]) -> Prompt:
        """What the reporter does with a study's pixels."""
        return build_prompt(self.tokenizer, self.config, films)


def make_workload(
    name: str, device: torch.device, dtype: torch.dtype, *, for_decoding: bool = True
) -> Workload:
    """Builds or loads the network; without `for_decoding` only once, in its training form."""
    scale = SCALES[name]
    if name == "tiny":
        checkpoint = load_checkpoint(SHIPPED, device=device, dtype=dtype)
        reference, tokenizer, config = checkpoint.backbone, checkpoint.tokenizer, checkpoint.config
    else:
        tokenizer = train_tokenizer(["No pneumothorax."] * 3, required=PROMPT_WORDS)
        config = _config(name, tokenizer, scale)
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(SEED)
            reference = Backbone.from_config(config.network, dtype).eval()
    never = config.shape.image_token_id  # no decoder writes an image's placeholder, so no report ends
    config = replace(config, eos_token_id=never, max_tokens=scale.report_tokens)
    backbone = reference
    if for_decoding:
        backbone = copy.deepcopy(reference)
        backbone.prepare_for_inference()
        reference.network.set_attn_implementation("sdpa")
    return Workload(
        scale=scale,
        reference=reference,
        backbone=backbone,
        config=config,
        tokenizer=tokenizer,
    )


def _config(name: str, tokenizer: ReportTokenizer, scale: Scale) -> ModelConfig:
    assert tokenizer.mask_id is not None
    return ModelConfig(
        network=_lingshu(tokenizer) if name == "7b" else _small(name, tokenizer),
        block_size=scale.block_size,
        mask_token_id=tokenizer.mask_id,
        eos_token_id=tokenizer.eos_id,
        stage=Stage.ECHO,
        image_size=scale.image_size,
        reads_context=False,
        name=name,
    )


def _small(name: str, tokenizer: ReportTokenizer) -> dict[str, Any]:
    sizes = {"vocab_size": tokenizer.vocab_size} | SIZES[name]
    return tiny_network(image_token_id=tokenizer.image_id, eos_token_id=tokenizer.eos_id, **sizes)


def _lingshu(tokenizer: ReportTokenizer) -> dict[str, Any]:
    """The published shape of Lingshu-7B (Qwen2.5-VL-7B)."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "image_token_id": tokenizer.image_id,
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "qwen2_5_vl_text",
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "intermediate_size": 18_944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
        },
        "vision_config": {
            "model_type": "qwen2_5_vl_vision",
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
    }
