"""The auxiliary stage: the vision tower learns to see findings before a language model reads its tokens.

One head per concept predicts presence, side, place and severity from the visual tokens. The heads are
discarded afterwards; the result is a tower whose tokens distinguish the findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from model.findings.types import Finding, Laterality, Presence, Severity
from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.prompt import MOST_IMAGES, patchify
from model.train.loop import Batch
from model.train.objectives import tensors

SIDES = tuple(Laterality)
GRADES = tuple(Severity)
UNKNOWN = -100  # the target that cross-entropy ignores


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The concepts and places that the heads distinguish."""

    concepts: tuple[str, ...]
    places: tuple[str, ...]

    @classmethod
    def of(cls, truths: Sequence[Sequence[Finding]]) -> LabelSpace:
        """The concepts and places that occur."""
        findings = [finding for truth in truths for finding in truth]
        places = sorted({f.location for f in findings if f.location is not None})
        return cls(tuple(sorted({f.concept for f in findings})), tuple(places))

    def targets(self, truths: Sequence[Sequence[Finding]]) -> dict[str, Tensor]:
        """`presence` float [B, C] and `side`, `place`, `severity` int [B, C] (UNKNOWN where not stated)."""
        shape = (len(truths), len(self.concepts))
        presence = torch.zeros(shape)
        side, place, severity = (torch.full(shape, UNKNOWN) for _ in range(3))
        for row, truth in enumerate(truths):
            for finding in truth:
                if finding.presence is not Presence.PRESENT:
                    continue
                column = self.concepts.index(finding.concept)
                presence[row, column] = 1.0
                if finding.laterality is not None:
                    side[row, column] = SIDES.index(finding.laterality)
                if finding.location is not None:
                    place[row, column] = self.places.index(finding.location)
                if finding.severity is not None:
                    severity[row, column] = GRADES.index(finding.severity)
        return {"presence": presence, "side": side, "place": place, "severity": severity}


class LabelHeads(nn.Module):
    """Attention of one query per concept over a study's visual tokens, then linear heads."""

    def __init__(self, space: LabelSpace, width: int, tokens: int, heads: int = 4) -> None:
        """`tokens`: the most visual tokens of a study, whose places the heads tell apart."""
        super().__init__()
        self.place_embedding = nn.Parameter(torch.randn(tokens, width) * 0.1)
        self.query = nn.Parameter(torch.randn(len(space.concepts), width) * 0.1)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.sizes = (1, len(SIDES), max(1, len(space.places)), len(GRADES))
        self.head = nn.Parameter(torch.zeros(len(space.concepts), width, sum(self.sizes)))
        self.bias = nn.Parameter(torch.zeros(len(space.concepts), sum(self.sizes)))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Visual tokens [B, n, D] to logits [B, C, .] of presence, side, place and severity.

        present: bool [B, n], False on padding.
        """
        tokens = self.norm(tokens) + self.place_embedding[: tokens.shape[1]]
        query = self.query.expand(len(tokens), -1, -1)
        seen, _ = self.attention(
            query, tokens, tokens, key_padding_mask=~present, need_weights=False
        )  # [B, C, D]
        logits = torch.einsum("bcd,cdk->bck", seen + query, self.head) + self.bias
        presence, side, place, severity = torch.split(logits, list(self.sizes), dim=2)
        return presence, side, place, severity


class LabelObjective(nn.Module):
    """Rows: `pixels`, [images, S, S] of each study, and the targets of a label space."""

    def __init__(self, backbone: Backbone, config: ModelConfig, space: LabelSpace) -> None:
        super().__init__()
        self.visual = backbone.network.model.visual
        self.heads = LabelHeads(space, config.shape.hidden, tokens=MOST_IMAGES * config.image_tokens)
        self._backbone = [backbone]  # in a list, so that its text layers are not parameters of this stage
        self._config = config

    def tokens(self, pixels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Visual tokens [B, n, D] of studies' images [images, S, S], padded, and which are real [B, n]."""
        images = [image for own in pixels for image in own]
        features = self._backbone[0].encode_images(*patchify(images, self._config))
        counts = [len(one) * self._config.image_tokens for one in pixels]
        own = list(torch.split(features, counts))
        present = [torch.ones(len(one), dtype=torch.bool, device=features.device) for one in own]
        return pad_sequence(own, batch_first=True), pad_sequence(present, batch_first=True)

    def forward(self, part: Batch) -> Tensor:
        rows = tensors(part)
        presence, side, place, severity = self.heads(*self.tokens(list(part.rows["pixels"])))
        loss: Tensor = (
            functional.binary_cross_entropy_with_logits(
                presence.squeeze(2), rows["presence"], reduction="sum"
            )
            / presence.shape[1]
        )
        for logits, name in ((side, "side"), (place, "place"), (severity, "severity")):
            losses = functional.cross_entropy(
                logits.flatten(0, 1), rows[name].flatten(), ignore_index=UNKNOWN, reduction="sum"
            )
            loss = loss + 0.1 * losses
        return loss / part.total
