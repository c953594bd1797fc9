"""Greedy autoregressive decoding of many studies at once, for validation and rollouts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.network.backbone import Backbone
from model.network.config import ModelConfig, PromptAttention
from model.network.positions import text_positions
from model.train.reader import RolloutReader


@torch.inference_mode()
def generate(
    backbone: Backbone,
    config: ModelConfig,
    prompts: Mapping[str, Tensor],
    features: Tensor,
    *,
    max_tokens: int = 256,
) -> Tensor:
    """Appends the most probable token until every answer has ended: int [B, R].

    Args as in `model.train.rollout.roll_out`. After an answer's end there is only end-of-text.
    """
    batch, prompt = prompts["prompt"].shape
    valid, following = prompts["prompt_valid"], prompts["next"]
    # Every token sees only those before it, as in autoregressive training.
    reader = RolloutReader(backbone, prompt + max_tokens, attention=PromptAttention.CAUSAL, block_size=1)
    hidden = reader.read_prompts(prompts, features)
    last = hidden[torch.arange(batch, device=valid.device), valid.sum(dim=1) - 1]  # [B, D]
    ended = torch.zeros(batch, dtype=torch.bool, device=valid.device)
    visible, answer = valid, []
    for place in range(max_tokens):
        logits = backbone.head(last).float()
        logits[:, [config.mask_token_id, config.shape.image_token_id]] = float("-inf")
        token = torch.where(ended, config.eos_token_id, logits.argmax(dim=-1))
        answer.append(token)
        ended |= token == config.eos_token_id
        if bool(ended.all()):
            break
        last = reader.read(token[:, None], text_positions(following + place, 1), visible)[:, 0]
        visible = torch.cat([visible, torch.ones_like(visible[:, :1])], dim=1)
    return torch.stack(answer, dim=1)
