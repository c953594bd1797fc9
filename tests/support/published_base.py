"""A tiny base in the layout of the published ones: bf16 shards, a BPE tokenizer, no echo_config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from model.network.backbone import Backbone
from model.network.config import tiny_network
from model.network.prompt import PROMPT_WORDS
from model.network.tokenizer import SPECIAL_TOKENS
from model.network.weights import write_weights

REPORTS = (
    "Findings: The lungs are clear. No pneumothorax. Impression: No acute abnormality.",
    "Findings: The heart is enlarged. Small left pleural effusion. Impression: Mild cardiomegaly.",
    "Findings: Right lower lobe consolidation. Impression: Pneumonia.",
)

# The published configuration of Qwen2.5-VL-7B-Instruct, flat as its config.json is.
QWEN_7B: dict[str, Any] = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "initializer_range": 0.02,
    "intermediate_size": 18944,
    "max_position_embeddings": 128000,
    "max_window_layers": 28,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 152064,
    "vision_config": {
        "depth": 32,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "in_chans": 3,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    },
}


def write_base(
    directory: Path, *, mask: str | None = None, spare_rows: int = 8, window: int = 112, **sizes: int
) -> Path:
    """Writes the base with random weights.

    mask: a mask token that the tokenizer already has. spare_rows: rows of the embedding beyond the
    vocabulary, as in the published weights.
    """
    directory.mkdir(parents=True)
    tokenizer = _tokenizer([*SPECIAL_TOKENS[:-1], *([mask] if mask else [])])
    network = _flat(
        tiny_network(
            vocab_size=tokenizer.get_vocab_size() + spare_rows,
            image_token_id=tokenizer.token_to_id("<|image_pad|>"),
            eos_token_id=tokenizer.token_to_id("<|im_end|>"),
            window=window,
            **{"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 96, **_VISION, **sizes},
        )
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = Backbone.from_config(network, torch.bfloat16).network.state_dict()
    size = sum(tensor.nbytes for tensor in state.values())
    write_weights(directory, state, shard_bytes=size // 3 + 1, published_names=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(network))
    return directory


_VISION = {"vision_hidden": 32, "vision_layers": 2, "vision_heads": 2, "vision_ffn": 48}


def _tokenizer(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*REPORTS * 4, *PROMPT_WORDS], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _flat(network: dict[str, Any]) -> dict[str, Any]:
    """The published files keep the decoder's sizes at the top, not in `text_config`."""
    text = dict(network.pop("text_config"))
    sections = text["rope_parameters"]["mrope_section"]
    rope = {"rope_theta": text.pop("rope_parameters")["rope_theta"]}
    rope["rope_scaling"] = {"type": "mrope", "mrope_section": sections}
    return {**text, **rope, **network, "model_type": "qwen2_5_vl"}
