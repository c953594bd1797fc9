"""Teacher trajectories: collected once over a training set, kept sparsely, filtered to legal reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from model.findings.canonical import read_canonical
from model.network.backbone import Backbone
from model.train.config import RolloutConfig
from model.train.features import FeatureCache
from model.train.loop import Report
from model.train.rollout import Trajectories, roll_out
from model.train.stages import Materials
from model.train.validation import text_of

_FILE = "trajectories.safetensors"
_KEYS = ("tokens", "drafts", "valid", "steps", "top_ids", "top_probabilities", "kept")


class StoredTrajectories:
    """Trajectories of a training set's first N studies, in its order."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.kept: Tensor = tensors["kept"]  # bool [N]: the rollout may be trained on

    @classmethod
    def load(cls, folder: Path, count: int) -> StoredTrajectories:
        """Opens what `collect` has written: the first `count` studies of it."""
        return cls({name: tensor[:count] for name, tensor in load_file(folder / _FILE).items()})

    def __len__(self) -> int:
        return len(self.kept)

    def answers(self) -> list[list[int]]:
        """The rollouts' tokens, whole blocks; an empty list for a rollout that is not kept."""
        lengths = self._tensors["valid"].sum(dim=1).tolist()
        rows = self._tensors["tokens"].tolist()
        kept = self.kept.tolist()
        return [row[:length] if keep else [] for row, length, keep in zip(rows, lengths, kept, strict=True)]

    def unsure(self, below: float) -> Tensor:
        """Whether the teacher committed a token at less than this probability, or the draft is broken.

        It was the surest that it had, so the teacher stood between two readings and chose one; so did the
        student that mixes two in a draft: bool [N].
        """
        surest = torch.where(self._tensors["valid"], self._tensors["top_probabilities"][..., 0].float(), 1.0)
        broken = (self._tensors["drafts"] != self._tensors["tokens"]).any(dim=1)
        return (surest.amin(dim=1) < below) | broken

    def rows(self, indices: list[int], length: int) -> dict[str, Tensor]:
        """`drafts`, `steps`, `top_ids` and `top_probabilities` of the studies, cut or padded to `length`."""
        rows = {}
        for key in ("drafts", "steps", "top_ids", "top_probabilities"):
            value = self._tensors[key][indices]
            missing = length - value.shape[1]
            if missing > 0:
                value = functional.pad(value, (0, missing) if value.ndim == 2 else (0, 0, 0, missing))
            rows[key] = value[:, :length].long() if key != "top_probabilities" else value[:, :length].float()
        return rows


def collect(
    materials: Materials,
    config: RolloutConfig,
    folder: Path,
    *,
    report: Report,
    student: Backbone | None = None,
) -> dict[str, float]:
    """Rolls the teacher out over the training set and stores the trajectories.

    Args:
        materials: the teacher and the examples.
        config: how many, in which batches, at which threshold.
        folder: receives the trajectories and `summary.json`.
        report: receives the progress.
        student: whose one-step drafts are kept beside the teacher's blocks, of the studies where they are
            broken; its vision tower is the teacher's.

    Returns:
        The summary: studies, shares of legal reports and of studies with legal drafts, mean steps per
        block, forwards per report.
    """
    count = min(config.examples, len(materials.examples))
    parts = []
    for group, found in _roll_out_all(materials, config, count, student):
        parts.append((group, found))
        done = sum(len(members) for members, _ in parts)
        report({"stage": "rollout", "studies": done, "of": count})
    tensors = _merge(parts, count)
    legal = torch.tensor([_is_legal(materials, row) for row in tensors["tokens"]])
    legal_drafts = legal  # without a student the drafts are the tokens
    if student is not None:
        legal_drafts = torch.tensor([_is_legal(materials, row) for row in tensors["drafts"]])
        tensors["drafts"] = torch.where(legal_drafts[:, None], tensors["tokens"], tensors["drafts"])
    tensors["kept"] = legal if config.legal_only else torch.ones_like(legal)
    blocks = tensors["valid"].sum() / materials.config.block_size
    last = tensors["steps"].reshape(count, -1, materials.config.block_size).amax(dim=2)
    summary = {
        "studies": float(count),
        "legal": float(legal.float().mean()),
        "legal_drafts": float(legal_drafts.float().mean()),
        "steps_per_block": float(last.sum() / blocks),
        "forwards_per_report": float(torch.cat([found.forwards.float() for _, found in parts]).mean()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: tensors[key].contiguous() for key in _KEYS}, folder / _FILE)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _roll_out_all(
    materials: Materials, config: RolloutConfig, count: int, student: Backbone | None
) -> Iterator[tuple[list[int], Trajectories]]:
    """The first `count` studies in batches of equally many images, each with its rollouts."""
    backbone, device = materials.backbone.eval(), materials.backbone.device
    features = FeatureCache(materials.backbone, materials.examples, materials.collator, limit=count)
    images = [materials.examples.image_count(i) for i in range(count)]
    for views in sorted(set(images)):
        members = [i for i, n in enumerate(images) if n == views]
        for start in range(0, len(members), config.batch):
            group = members[start : start + config.batch]
            prompts = materials.collator.prompts([materials.examples[i] for i in group])
            yield (
                group,
                roll_out(
                    backbone,
                    materials.config,
                    {key: value.to(device) for key, value in prompts.items()},
                    features.rows(group).to(device).flatten(0, 1),
                    threshold=config.threshold,
                    top=config.top,
                    max_tokens=materials.config.max_tokens,
                    student=student,
                    lead=config.lead,
                ),
            )


def _is_legal(materials: Materials, tokens: Tensor) -> bool:
    return read_canonical(text_of(materials.tokenizer, materials.config, tokens)).legal


def _merge(parts: list[tuple[list[int], Trajectories]], count: int) -> dict[str, Tensor]:
    """Puts the batches into the order of the examples, as small integers and half-precision shares."""
    length = max(found.tokens.shape[1] for _, found in parts)
    first = parts[0][1]
    top = first.top_ids.shape[2]
    merged = {
        "tokens": torch.zeros(count, length, dtype=torch.int32),
        "drafts": torch.zeros(count, length, dtype=torch.int32),
        "valid": torch.zeros(count, length, dtype=torch.bool),
        "steps": torch.zeros(count, length, dtype=torch.int16),
        "top_ids": torch.zeros(count, length, top, dtype=torch.int32),
        "top_probabilities": torch.zeros(count, length, top, dtype=torch.float32),
    }
    for group, found in parts:
        width = found.tokens.shape[1]
        for key, target in merged.items():
            target[group, :width] = getattr(found, key).to(target.dtype).cpu()
    return merged
