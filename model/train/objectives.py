"""The losses of the text stages as modules over one backbone: each maps a part of a batch to its share of
the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.positions import text_positions
from model.train import dcd
from model.train.divergence import sparse_divergence
from model.train.loop import Batch, Row
from model.train.rad import loss_weights, noisy_tokens, rad_positions, weighted_cross_entropy


def tensors(part: Batch) -> dict[str, Tensor]:
    """Returns the rows that are tensors."""
    return {name: row for name, row in part.rows.items() if isinstance(row, Tensor)}


class TextObjective(nn.Module):
    """Common part of the text stages: from prompt and answer tokens to logits.

    Rows of a batch: `prompt` [B, P], `prompt_positions` [B, 3, P], `next` [B], `answer` [B, R], `valid`
    [B, R]; either `features`, visual tokens [n, D] of each example (a frozen tower, run once), or `patches`
    and `grid` of each example's images; and the attention mask as row `mask` [B, T, T] or shared `mask`
    [1, T, T].
    """

    def __init__(self, backbone: Backbone, config: ModelConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config

    def features(self, rows: Mapping[str, Row]) -> Tensor:
        """Visual tokens of all rows: [tokens, D]."""
        if "features" in rows:
            return torch.cat(list(rows["features"]))
        patches, grid = torch.cat(list(rows["patches"])), torch.cat(list(rows["grid"]))
        return self.backbone.encode_images(patches, grid)

    def logits(self, part: Batch, answers: Tensor, copies: int, rows: Tensor) -> Tensor:
        """Logits [N, V] of the chosen rows of [prompt | answers], where the answers contain `copies`
        further copies.
        """
        given = tensors(part)
        ids = torch.cat([given["prompt"], answers], dim=1)  # [B, T]
        embeds = self.backbone.embed(ids, self.features(part.rows))
        prompt_positions = given["prompt_positions"].transpose(0, 1)  # [3, B, P]
        positions = text_positions(given["next"], given["answer"].shape[1])
        mask = given["mask"] if "mask" in given else part.shared["mask"]
        logits: Tensor = self.backbone(
            embeds, rad_positions(prompt_positions, positions, copies), mask, rows=rows
        )
        return logits


class ArObjective(TextObjective):
    """Next-token cross-entropy over the answer and its first end-of-text token. Rows add `length` [B]."""

    def forward(self, part: Batch) -> Tensor:
        given = tensors(part)
        answer, prompt = given["answer"], given["prompt"].shape[1]
        batch, response = answer.shape
        sequence = prompt + response
        # Row i of the answer is predicted from the token before it; the first from the prompt's last.
        before = torch.arange(prompt - 1, sequence - 1, device=answer.device).expand(batch, -1).clone()
        before[:, 0] = given["prompt_valid"].sum(dim=1) - 1
        counted = torch.arange(response, device=answer.device) < given["length"][:, None]  # [B, R]
        flat = (before + torch.arange(batch, device=answer.device)[:, None] * sequence)[counted]
        logits = self.logits(part, answer, 0, flat)
        weights = (1.0 / given["length"].float())[:, None].expand(-1, response)[counted]
        return weighted_cross_entropy(logits, answer[counted], weights) / part.total


class RadObjective(TextObjective):
    """RAD: cross-entropy at masked positions, weighted 1/p. Rows add `masked` and `weight` [B, C, R]."""

    def forward(self, part: Batch) -> Tensor:
        given = tensors(part)
        answer, masked = given["answer"], given["masked"]
        copies = masked.shape[1]
        noisy = noisy_tokens(answer, masked, self.config.mask_token_id)  # [B, C R]
        weights = loss_weights(given["weight"], given["valid"])  # [B, C R]
        clean = given["prompt"].shape[1] + answer.shape[1]
        counted = functional.pad(weights > 0, (clean, 0))  # bool [B, T]
        logits = self.logits(part, torch.cat([answer, noisy], dim=1), copies, counted)
        targets = answer.repeat(1, copies)[weights > 0]
        return weighted_cross_entropy(logits, targets, weights[weights > 0]) / part.total


class DcdObjective(TextObjective):
    """DCD: the student's single forward pass compared with the teacher's trajectory.

    Rows add `drafts` and `steps` [B, R], `top_ids` and `top_probabilities` [B, R, K], the teacher's choice
    first. A block sees the drafts of the blocks before it, and learns the teacher's output after the
    teacher's own blocks, so that the student can continue after its own broken draft.
    """

    def __init__(
        self,
        backbone: Backbone,
        config: ModelConfig,
        *,
        step_weights: bool,
        eos_weight: float,
        divergence: Literal["forward", "reverse"],
        choice_weight: float = 0.0,
    ) -> None:
        super().__init__(backbone, config)
        self._step_weights = step_weights
        self._eos_weight = eos_weight
        self._divergence = divergence
        self._choice_weight = choice_weight

    def forward(self, part: Batch) -> Tensor:
        given = tensors(part)
        answer, valid = given["answer"], given["valid"]
        noisy = dcd.all_masked(answer, self.config.mask_token_id)
        clean = given["prompt"].shape[1] + answer.shape[1]
        logits = self.logits(
            part, torch.cat([given["drafts"], noisy], dim=1), 1, functional.pad(valid, (clean, 0))
        )  # [N, V]
        target = (1 - self._choice_weight) * given["top_probabilities"][valid]  # [N, K]
        target[:, 0] += self._choice_weight
        divergence = sparse_divergence(logits, given["top_ids"][valid].long(), target, self._divergence)
        weights = dcd.token_weights(given["steps"], valid, weighted=self._step_weights)[valid]
        loss = (divergence * weights).sum()
        if self._eos_weight > 0:
            ends = dcd.eos_weights(answer, valid, self.config.eos_token_id)[valid]
            loss = loss + self._eos_weight * weighted_cross_entropy(logits, answer[valid], ends)
        return loss / part.total
