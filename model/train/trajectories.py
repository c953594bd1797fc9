"""Teacher trajectories: collected once over a training set, stored sparsely, filtered to legal reports."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from model.errors import ModelError
from model.findings.canonical import read_canonical
from model.network.backbone import Backbone
from model.train.config import RolloutConfig
from model.train.features import VisualTokens, encode_studies, image_sizes
from model.train.loop import Report
from model.train.rollout import Trajectories, roll_out
from model.train.stages import Materials
from model.train.validation import text_of

_FILE = "trajectories.safetensors"
_TYPES = {
    "tokens": torch.int32,
    "drafts": torch.int32,
    "valid": torch.bool,
    "steps": torch.int16,
    "top_ids": torch.int32,
    "top_probabilities": torch.float32,
    "forwards": torch.int32,
}
_KEYS = ("tokens", "drafts", "valid", "steps", "top_ids", "top_probabilities", "kept")


class StoredTrajectories:
    """Trajectories of a training set's first N studies, in its order."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.kept: Tensor = tensors["kept"]  # bool [N]: the rollout may be trained on

    @classmethod
    def load(cls, folder: Path, count: int) -> StoredTrajectories:
        """Opens the first `count` studies that `collect` has written."""
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

        The teacher was then undecided between two readings and chose one, and a student may mix the two in
        its draft: bool [N].
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


class RolloutError(ModelError):
    """Nothing can be learnt from a rollout; the message shows what the teacher writes and says what to
    change.
    """

    code = "rollout"
    retryable = False


def collect(
    materials: Materials,
    config: RolloutConfig,
    folder: Path,
    *,
    report: Report,
    student: Backbone | None = None,
) -> dict[str, float]:
    """Rolls the teacher out over the training set and stores the trajectories.

    The studies are divided among the processes; a resumed run does not repeat finished parts, whatever the
    number of processes.

    Args:
        materials: the teacher and the examples.
        config: how many, in which batches, at which threshold.
        folder: receives the trajectories and `summary.json`.
        report: called with the progress. student: its one-step drafts are stored along with the teacher's
        blocks for studies where they are broken; it has the teacher's vision tower.

    Returns:
        The summary: studies, shares of legal reports and of studies with legal drafts, mean steps per
        block, forwards per report.

    Raises:
        RolloutError if no report may be trained on.
    """
    processes = materials.setting.processes
    count = min(config.examples, len(materials.examples))
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    _roll_out_parts(materials, config, count, student, parts, report)
    processes.wait()
    summary: dict[str, float] = {}
    if processes.first:
        tensors = _merge(parts, -(-count // config.batch))
        summary = _judge(materials, config, tensors, student is not None)
        save_file({key: tensors[key].contiguous() for key in _KEYS}, folder / _FILE)
        (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        if not bool(tensors["kept"].any()):
            raise RolloutError(_nothing_kept(materials, tensors, folder))
        shutil.rmtree(parts)
    summary = processes.gather(summary)[0]
    return summary


def _judge(
    materials: Materials, config: RolloutConfig, tensors: dict[str, Tensor], has_student: bool
) -> dict[str, float]:
    """Adds which rollouts are kept, and replaces legal drafts by the teacher's blocks."""
    legal = torch.tensor([_is_legal(materials, row) for row in tensors["tokens"]])
    legal_drafts = legal  # without a student the drafts are the tokens
    if has_student:
        legal_drafts = torch.tensor([_is_legal(materials, row) for row in tensors["drafts"]])
        tensors["drafts"] = torch.where(legal_drafts[:, None], tensors["tokens"], tensors["drafts"])
    tensors["kept"] = legal if config.legal_only else torch.ones_like(legal)
    blocks = tensors["valid"].sum() / materials.config.block_size
    last = tensors["steps"].reshape(len(legal), -1, materials.config.block_size).amax(dim=2)
    return {
        "studies": float(len(legal)),
        "legal": float(legal.float().mean()),
        "legal_drafts": float(legal_drafts.float().mean()),
        "steps_per_block": float(last.sum() / blocks),
        "forwards_per_report": float(tensors["forwards"].float().mean()),
    }


def _nothing_kept(materials: Materials, tensors: Mapping[str, Tensor], folder: Path) -> str:
    first = text_of(materials.tokenizer, materials.config, tensors["tokens"][0])
    return (
        f"none of the teacher's {len(tensors['tokens'])} reports is legal, so a student has nothing to learn "
        f"(the first begins: {first[:80]!r}). Train the teacher for more steps until its validation says "
        f"legal > 0, or set rollout.legal_only to false; {folder} holds what it wrote"
    )


def _roll_out_parts(
    materials: Materials,
    config: RolloutConfig,
    count: int,
    student: Backbone | None,
    folder: Path,
    report: Report,
) -> None:
    """Writes this process's parts, each of `config.batch` consecutive studies, completely or not at all."""
    processes, size = materials.setting.processes, config.batch
    backbone = materials.backbone.eval()
    kept = materials.visual_tokens()
    for part in range(processes.rank, -(-count // size), processes.count):
        file = folder / f"{part:06}.safetensors"
        if file.exists():
            continue
        group = list(range(part * size, min((part + 1) * size, count)))
        prompts, features = _inputs(materials, kept, group)
        found = roll_out(
            backbone,
            materials.config,
            {key: value.to(backbone.device) for key, value in prompts.items()},
            features,
            threshold=config.threshold,
            top=config.top,
            max_tokens=materials.config.max_tokens,
            student=student,
            lead=config.lead,
        )
        fresh = file.with_suffix(".new")
        save_file(_narrow(found), fresh)
        fresh.rename(file)
        if processes.first:
            report({"stage": "rollout", "studies": min(count, (part + processes.count) * size), "of": count})


def _inputs(
    materials: Materials, kept: VisualTokens | None, group: Sequence[int]
) -> tuple[dict[str, Tensor], Tensor]:
    """Prompt rows and visual tokens [n, D] of studies."""
    collator, backbone = materials.collator, materials.backbone
    if kept is not None:
        tokens, sizes = kept.rows(group)
        examples = [materials.examples.without_images(i) for i in group]
    else:
        examples = [materials.examples[i] for i in group]
        images = [collator.images(example) for example in examples]
        tokens, sizes = encode_studies(backbone, collator, images), image_sizes(images)
    return collator.prompts(examples, sizes), torch.cat(tokens).to(backbone.device)


def _narrow(found: Trajectories) -> dict[str, Tensor]:
    """A part's tensors as small integers, for the disk."""
    return {key: getattr(found, key).to(kind).cpu().contiguous() for key, kind in _TYPES.items()}


def _is_legal(materials: Materials, tokens: Tensor) -> bool:
    """Whether a report may be learnt from.

    For a network with canonical wording, every sentence must be canonical. For any other, the report must
    have ended by itself, have both parts, and repeat no phrase.
    """
    config = materials.config
    text = text_of(materials.tokenizer, config, tokens)
    if config.canonical:
        return read_canonical(text).legal
    ended = config.eos_token_id in tokens.tolist()
    parts = text.lower().partition("impression:")
    said = parts[0].lower().removeprefix("findings:").strip(), parts[2].strip()
    return ended and all(said) and not _REPEATED.search(text)


# One to three words that occur twice in a row: the sign of broken decoding in any wording.
_REPEATED = re.compile(r"\b(\w+(?:\W+\w+){0,2})\W+\1\b", re.IGNORECASE)


def _merge(folder: Path, parts: int) -> dict[str, Tensor]:
    """All parts, in the order of the examples, padded to one length."""
    loaded = [load_file(folder / f"{part:06}.safetensors") for part in range(parts)]
    length = max(one["tokens"].shape[1] for one in loaded)
    merged = {}
    for key in _TYPES:
        if loaded[0][key].ndim == 1:
            merged[key] = torch.cat([one[key] for one in loaded])
            continue
        padded = []
        for one in loaded:
            missing = length - one[key].shape[1]
            padded.append(functional.pad(one[key], (*(0, 0) * (one[key].ndim - 2), 0, missing)))
        merged[key] = torch.cat(padded)
    return merged
