"""The stages up to the multi-step Base: labels, AR and RAD. Each says what a step's batch is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.network.backbone import Backbone
from model.network.checkpoint import save_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.masks import causal_mask, rad_mask_batch
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example
from model.train.batches import Collator, ExampleSet, Sampler
from model.train.config import LabelsConfig, RadConfig, StageConfig
from model.train.features import FeatureCache
from model.train.labels import LabelObjective, LabelSpace
from model.train.loop import Batch
from model.train.noise import draw_noise
from model.train.objectives import ArObjective, RadObjective
from model.train.rad import with_copies
from model.train.validation import Validator


class Materials:
    """What every stage works on: the network, its configuration and tokenizer, the examples, the seed."""

    def __init__(
        self,
        *,
        backbone: Backbone,
        config: ModelConfig,
        tokenizer: ReportTokenizer,
        examples: ExampleSet,
        validation: ExampleSet,
        seed: int,
    ) -> None:
        self.backbone = backbone
        self.config = config
        self.tokenizer = tokenizer
        self.examples = examples
        self.validation = validation
        self.seed = seed
        self.collator = Collator(config, tokenizer, config.block_size)

    def save(self, directory: Path, stage: Stage, **fields: object) -> None:
        """Writes the network as a checkpoint of a stage."""
        config = replace(self.config, stage=stage, **fields)  # type: ignore[arg-type]
        save_checkpoint(directory, self.backbone, config, self.tokenizer)


class LabelsStage:
    """Vision tower and label heads, on phantoms (whose truth is known)."""

    name = "labels"

    def __init__(self, materials: Materials, config: LabelsConfig) -> None:
        self._materials = materials
        self._frontal_only = config.frontal_only
        examples = materials.examples
        self._truths = [examples[i].truth or () for i in range(len(examples))]
        self._space = LabelSpace.of(self._truths)
        self._objective = LabelObjective(materials.backbone, materials.config, self._space)
        self.objective: nn.Module = self._objective
        images = [1 if config.frontal_only else examples.image_count(i) for i in range(len(examples))]
        self._sampler = Sampler([0] * len(examples), images, config.batch, materials.seed)
        self._checked = min(config.validation_examples, len(materials.validation))

    def batch(self, step: int) -> Batch:
        indices = [int(i) for i in self._sampler.indices(step)]
        pixels = self._materials.collator.pixels([self._seen(self._materials.examples[i]) for i in indices])
        targets = self._space.targets([self._truths[i] for i in indices])
        tokens = pixels.shape[0] * pixels.shape[1] * self._materials.config.image_tokens
        return Batch(rows={"pixels": pixels, **targets}, tokens=tokens)

    def _seen(self, example: Example) -> Example:
        return replace(example, images=example.images[:1]) if self._frontal_only else example

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Macro-F1 of presence and accuracy of the attributes, by the heads."""
        held_out = [self._seen(self._materials.validation[i]) for i in range(self._checked)]
        scores: dict[str, list[Tensor]] = {}
        for count in sorted({len(e.images) for e in held_out}):
            group = [e for e in held_out if len(e.images) == count]
            targets = self._space.targets([e.truth or () for e in group])
            pixels = self._materials.collator.pixels(group).to(self._materials.backbone.device)
            presence, *attributes = self._objective.heads(self._objective.tokens(pixels))
            scores.setdefault("said", []).append((presence.squeeze(2) > 0).cpu())
            scores.setdefault("true", []).append(targets["presence"] > 0)
            for name, logits in zip(("side", "place", "severity"), attributes, strict=True):
                known = targets[name] >= 0
                right = logits.argmax(dim=2).cpu()[known] == targets[name][known]
                scores.setdefault(name, []).append(right.float())
        said, true = torch.cat(scores.pop("said")), torch.cat(scores.pop("true"))
        both = (said & true).sum(dim=0)
        f1 = 2 * both / (said.sum(dim=0) + true.sum(dim=0)).clamp(min=1)
        worst = f1.argmin()
        return {
            "macro_f1": float(f1.mean()),
            "worst_f1": float(f1[worst]),
            **{name: float(torch.cat(values).mean()) for name, values in scores.items()},
        }

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        tower = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
        self._objective.visual.load_state_dict(tower)
        self._materials.save(directory, Stage.AR)


class TextStage:
    """What AR, RAD and the distillations share: answers as tokens, prompts, features or pixels."""

    name = "text"
    objective: nn.Module

    def __init__(
        self,
        materials: Materials,
        config: StageConfig,
        answers: Sequence[Sequence[int]] | None = None,
        draws: Sequence[int] | None = None,
    ) -> None:
        self._materials = materials
        self._seed = materials.seed
        examples, collator = materials.examples, materials.collator
        self._answers = answers or [collator.answer_ids(examples[i]) for i in range(len(examples))]
        images = [examples.image_count(i) for i in range(len(examples))]
        lengths = [len(answer) for answer in self._answers]
        # Each study as often as an epoch draws it; those without an answer never.
        often = np.ones(len(examples), dtype=np.int64) if draws is None else np.asarray(draws)
        self._usable = np.repeat(np.arange(len(examples)), np.where(np.asarray(lengths) > 0, often, 0))
        self._sampler = Sampler(
            [lengths[i] for i in self._usable],
            [images[i] for i in self._usable],
            config.batch,
            materials.seed,
        )
        self._features: FeatureCache | None = None
        if config.freeze_vision:
            materials.backbone.freeze_vision()
            self._features = FeatureCache(materials.backbone, examples, collator)
        self._validator = Validator(materials, config.validation_examples)

    def indices(self, step: int) -> list[int]:
        """The examples of a step."""
        return [int(i) for i in self._usable[self._sampler.indices(step)]]

    def base_rows(self, indices: list[int]) -> dict[str, Tensor]:
        """Prompt, images and answer of the examples."""
        materials = self._materials
        examples = [materials.examples[i] for i in indices]
        answers = materials.collator.answers([self._answers[i] for i in indices])
        rows = {**materials.collator.prompts(examples), "answer": answers.tokens, "valid": answers.valid}
        if self._features is None:
            rows["pixels"] = materials.collator.pixels(examples)
        else:
            rows["features"] = self._features.rows(indices)
        return rows

    def noise_generator(self, step: int) -> torch.Generator:
        """Chance of one step, the same whenever and wherever the step is run."""
        seed = np.random.SeedSequence([self._seed, step]).generate_state(1)
        return torch.Generator().manual_seed(int(seed[0]))

    def validate(self) -> dict[str, float]:
        return self._validator.multistep()

    def rad_batch(self, rows: dict[str, Tensor], copies: int) -> Batch:
        """Adds the RAD mask: shared where no prompt is padded."""
        size = self._materials.config.block_size
        prompt, response = rows["prompt"].shape[1], rows["answer"].shape[1]
        padded = not bool(rows["prompt_valid"].all())
        # Padding behind an answer needs no mask of its own: nothing valid sees a later block.
        everywhere = torch.ones_like(rows["valid"])
        pick = slice(None) if padded else slice(0, 1)
        mask = rad_mask_batch(
            rows["prompt_valid"][pick], everywhere[pick], size, self._materials.config.prompt_attention
        )
        mask = with_copies(mask, prompt, response, copies)
        tokens = len(rows["prompt"]) * (prompt + (1 + copies) * response)
        if padded:
            return Batch(rows={**rows, "mask": mask}, tokens=tokens)
        return Batch(rows=rows, shared={"mask": mask}, tokens=tokens)

    def _load(self, state: Mapping[str, Tensor]) -> None:
        prefix = "backbone."
        self._materials.backbone.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )


class ArStage(TextStage):
    """Autoregressive fine-tuning on the reports."""

    name = "ar"

    def __init__(self, materials: Materials, config: StageConfig) -> None:
        super().__init__(materials, config)
        self.objective = ArObjective(materials.backbone, materials.config)

    def batch(self, step: int) -> Batch:
        indices = self.indices(step)
        rows = self.base_rows(indices)
        rows["length"] = torch.tensor([len(self._answers[i]) for i in indices])
        longest = int(rows["length"].max())
        rows["answer"], rows["valid"] = rows["answer"][:, :longest], rows["valid"][:, :longest]
        tokens = len(indices) * (rows["prompt"].shape[1] + longest)
        padded = not bool(rows["prompt_valid"].all())
        valid = torch.cat([rows["prompt_valid"], torch.ones_like(rows["valid"])], dim=1)
        if padded:
            return Batch(rows={**rows, "mask": causal_mask(valid)}, tokens=tokens)
        return Batch(rows=rows, shared={"mask": causal_mask(valid[:1])}, tokens=tokens)

    def validate(self) -> dict[str, float]:
        return self._validator.autoregressive()

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._load(state)
        self._materials.save(directory, Stage.AR)


class RadStage(TextStage):
    """Multi-step block diffusion on the reports: the Base."""

    name = "rad"

    def __init__(
        self, materials: Materials, config: RadConfig, answers: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__(materials, config, answers)
        self._complementary = config.complementary
        self.objective = RadObjective(materials.backbone, materials.config)

    def batch(self, step: int) -> Batch:
        rows = self.base_rows(self.indices(step))
        noise = draw_noise(
            rows["answer"].shape[0],
            rows["answer"].shape[1],
            self._materials.config.block_size,
            self.noise_generator(step),
            complementary=self._complementary,
        )
        rows |= {"masked": noise.masked, "weight": noise.weight}
        return self.rad_batch(rows, noise.masked.shape[1])

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._load(state)
        block = self._materials.config.block_size
        self._materials.save(directory, Stage.BASE, denoising_steps=block, confidence_threshold=0.85)
