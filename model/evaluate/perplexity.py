"""Perplexity of texts under an autoregressive network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from model.network.backbone import Backbone
from model.network.masks import causal_mask
from model.network.positions import next_positions, text_positions
from model.network.prompt import PromptBatch


@torch.inference_mode()
def perplexity(backbone: Backbone, batches: Sequence[tuple[PromptBatch, Sequence[Sequence[int]]]]) -> float:
    """exp of the mean negative log-likelihood per token.

    Args:
        backbone: the autoregressive network.
        batches: prompts with the token ids of the text that follows each, end token included.
    """
    total, count = 0.0, 0
    for prompts, answers in batches:
        batch, prompt = prompts.input_ids.shape
        longest = max(map(len, answers))
        tokens = torch.zeros(batch, longest, dtype=torch.long)
        counted = torch.zeros(batch, longest, dtype=torch.bool)
        for row, answer in enumerate(answers):
            tokens[row, : len(answer)] = torch.tensor(answer)
            counted[row, : len(answer)] = True
        features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
        embeds = torch.cat([backbone.embed(prompts.input_ids, features), backbone.embed(tokens)], dim=1)
        first = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)
        following = text_positions(next_positions(first, prompts.valid), longest)
        mask = causal_mask(torch.cat([prompts.valid, torch.ones_like(counted)], dim=1))
        hidden = backbone.hidden(embeds, torch.cat([first, following], dim=2), mask)  # [S, P + R, D]
        before = torch.arange(prompt - 1, prompt + longest - 1).expand(batch, -1).clone()
        before[:, 0] = prompts.valid.sum(dim=1) - 1  # prompts are padded on the right
        states = hidden.gather(1, before[..., None].expand(-1, -1, hidden.shape[2]))
        logits = backbone.head(states)[counted].float()
        total += float(functional.cross_entropy(logits, tokens[counted], reduction="sum"))
        count += int(counted.sum())
    return math.exp(total / max(1, count))
