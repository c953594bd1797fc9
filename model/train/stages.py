"""The stages up to the multi-step Base: labels, AR and RAD. Each defines a step's batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from model.errors import ModelError
from model.network.backbone import Backbone
from model.network.checkpoint import write_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.masks import causal_mask, rad_mask_batch
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example
from model.train.batches import Collator, ExampleSet, Sampler
from model.train.config import LabelsConfig, RadConfig, StageConfig
from model.train.features import KeptTokens, StoredTokens, VisualTokens, image_sizes
from model.train.labels import LabelObjective, LabelSpace
from model.train.loop import Batch, Row
from model.train.lora import add_adapters, merged_state
from model.train.noise import draw_noise
from model.train.objectives import ArObjective, RadObjective
from model.train.parallel import Precision, Processes
from model.train.rad import with_copies
from model.train.validation import Validator


class StageError(ModelError):
    """A stage has nothing to learn from; the message says why and what to change."""

    code = "stage"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the stages of a run work: see `TrainingConfig`. folder: where visual tokens are kept on disk."""

    processes: Processes
    precision: Precision = "float32"
    checkpoint_activations: bool = False
    features: Literal["none", "disk", "memory"] = "memory"
    folder: Path = Path("features")


class Materials:
    """The input of every stage: the network, its configuration and tokenizer, the examples, the seed."""

    def __init__(
        self,
        *,
        backbone: Backbone,
        config: ModelConfig,
        tokenizer: ReportTokenizer,
        examples: ExampleSet,
        validation: ExampleSet,
        seed: int,
        setting: Setting,
    ) -> None:
        self.backbone = backbone
        self.config = config
        self.tokenizer = tokenizer
        self.examples = examples
        self.validation = validation
        self.seed = seed
        self.setting = setting
        self.collator = Collator(config, tokenizer, config.block_size)

    def save(self, state: Mapping[str, Tensor], directory: Path, stage: Stage, **fields: object) -> None:
        """Writes the tensors of a network (Hugging Face names) as a checkpoint of a stage."""
        config = replace(self.config, stage=stage, **fields)  # type: ignore[arg-type]
        dtype = getattr(torch, self.setting.precision)
        stored = {name: tensor.to(dtype) for name, tensor in state.items()}
        write_checkpoint(directory, stored, config, self.tokenizer)

    def visual_tokens(self) -> VisualTokens | None:
        """The tokens of the frozen tower for the examples, if they are stored."""
        setting = self.setting
        if setting.features == "memory":
            return KeptTokens(self.backbone, self.examples, self.collator)
        if setting.features == "disk":
            return StoredTokens(
                setting.folder, self.backbone, self.examples, self.collator, setting.processes
            )
        return None


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
        self._sampler = Sampler(len(examples), lambda _: 0, config.batch, materials.seed)
        self._checked = min(config.validation_examples, len(materials.validation))

    @property
    def layers(self) -> Sequence[nn.Module]:
        """None: the tower is one unit."""
        return ()

    def batch(self, step: int, share: range) -> Batch:
        drawn = [int(i) for i in self._sampler.indices(step)]
        indices = drawn[share.start : share.stop]
        pixels = self._pixels([self._materials.examples[i] for i in indices])
        targets = self._space.targets([self._truths[i] for i in indices])
        tokens = sum(map(len, pixels)) * self._materials.config.image_tokens
        images = sum(map(len, pixels))
        return Batch(rows={"pixels": pixels, **targets}, total=len(drawn), tokens=tokens, images=images)

    def _pixels(self, examples: Sequence[Example]) -> list[Tensor]:
        """Prepared images [n, S, S] of each study."""
        seen = [self._materials.collator.images(example) for example in examples]
        return [torch.stack(own[:1] if self._frontal_only else own) for own in seen]

    @torch.inference_mode()
    def validate(self, processes: Processes) -> dict[str, float]:
        """Macro-F1 of presence and accuracy of the attributes, from the heads; every process computes all
        of it.
        """
        held_out = [self._materials.validation[i] for i in range(self._checked)]
        scores: dict[str, list[Tensor]] = {}
        device = self._materials.backbone.device
        for start in range(0, len(held_out), 64):
            group = held_out[start : start + 64]
            targets = self._space.targets([e.truth or () for e in group])
            pixels = [own.to(device) for own in self._pixels(group)]
            presence, *attributes = self._objective.heads(*self._objective.tokens(pixels))
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
        network = dict(self._materials.backbone.network.state_dict())
        network |= {f"model.{name}": v for name, v in state.items() if name.startswith("visual.")}
        self._materials.save(network, directory, Stage.AR)


class TextStage:
    """Common parts of AR, RAD and distillation: answers as tokens, prompts, visual tokens or images.

    answers: given as tokens (a teacher's rollouts); otherwise the examples' answers are read when they are
    drawn. draws: how often an epoch draws each example.
    """

    name = "text"
    objective: nn.Module

    def __init__(
        self,
        materials: Materials,
        config: StageConfig,
        answers: Sequence[Sequence[int]] | None = None,
        draws: Sequence[int] | None = None,
    ) -> None:
        self._materials, self._config = materials, config
        self._given = answers
        count = len(materials.examples)
        # Each study as often as an epoch draws it; those without an answer never.
        often = np.ones(count, dtype=np.int64) if draws is None else np.asarray(draws)
        if answers is not None:
            often = np.where([len(answer) > 0 for answer in answers], often, 0)
        usable = np.repeat(np.arange(count), often)
        self._usable = usable
        if not len(self._usable):
            raise StageError(
                f"{self.name}: none of the {count} studies has an answer to learn; of a distillation "
                "see the rollout's summary.json: a teacher whose reports are not legal must be trained longer"
            )
        length_of = materials.examples.answer_length if answers is None else lambda i: len(answers[i])
        self._sampler = Sampler(
            len(usable), lambda place: length_of(int(usable[place])), config.batch, materials.seed
        )
        self._tokens = self._prepare(config)
        self._validator = Validator(materials, config.validation_examples)

    def _prepare(self, config: StageConfig) -> VisualTokens | None:
        """Freezes and adapts the network as the stage requires."""
        backbone, setting = self._materials.backbone, self._materials.setting
        kept = None
        if config.freeze_vision:
            backbone.freeze_vision()
            kept = self._materials.visual_tokens()
        if config.lora is not None:
            add_adapters(backbone, config.lora)
        if setting.precision == "bfloat16":
            for parameter in backbone.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.bfloat16()
        text = backbone.network.model.language_model
        if setting.checkpoint_activations:
            text.activation_checkpointing_enable()
        backbone.train()
        return kept

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder's layers."""
        return list(self._materials.backbone.network.model.language_model.layers)

    def indices(self, step: int) -> list[int]:
        """The examples of a step, in all processes together."""
        return [int(i) for i in self._usable[self._sampler.indices(step)]]

    def answers_of(self, indices: Sequence[int]) -> list[Sequence[int]]:
        """The answers' tokens, including the end-of-text token if they fit."""
        if self._given is not None:
            return [self._given[i] for i in indices]
        materials = self._materials
        return [materials.collator.answer_ids(materials.examples.without_images(i).answer) for i in indices]

    def cut_in(self, answers: Sequence[Sequence[int]]) -> int:
        """How many answers lack their end because they do not fit."""
        return sum(not len(a) or a[-1] != self._materials.config.eos_token_id for a in answers)

    def base_rows(self, indices: Sequence[int]) -> dict[str, Row]:
        """Prompt and images of the examples."""
        materials, collator = self._materials, self._materials.collator
        if self._tokens is not None:
            examples = [materials.examples.without_images(i) for i in indices]
            features, sizes = self._tokens.rows(indices)
            return {**collator.prompts(examples, sizes), "features": features}
        examples = [materials.examples[i] for i in indices]
        images = [collator.images(example) for example in examples]
        patches, grids = zip(*(collator.patches(own) for own in images), strict=True)
        prompts = collator.prompts(examples, image_sizes(images))
        return {**prompts, "patches": list(patches), "grid": list(grids)}

    def noise_generator(self, step: int) -> torch.Generator:
        """The random generator of a step, the same whenever and wherever the step is run."""
        seed = np.random.SeedSequence([self._materials.seed, step]).generate_state(1)
        return torch.Generator().manual_seed(int(seed[0]))

    def validate(self, processes: Processes) -> dict[str, float]:
        return self._validator.multistep(processes)

    def rad_batch(
        self, own: dict[str, Row], whole: Mapping[str, Tensor], share: range, copies: int, cut: int
    ) -> Batch:
        """A RAD batch with its mask, which is shared if no prompt is padded.

        own: rows of this process's share; whole: rows of the whole step, `answer` and `valid` among them.
        """
        rows = own | {name: row[share.start : share.stop] for name, row in whole.items()}
        valid, prompts = rows["prompt_valid"], rows["prompt"]
        assert isinstance(valid, Tensor)
        assert isinstance(prompts, Tensor)
        size = self._materials.config.block_size
        prompt, response = prompts.shape[1], whole["answer"].shape[1]
        padded = not bool(valid.all())
        pick = slice(None) if padded else slice(0, 1)
        # Padding after an answer needs no mask: nothing valid sees a later block.
        everywhere = torch.ones(len(valid[pick]), response, dtype=torch.bool)
        mask = rad_mask_batch(valid[pick], everywhere, size, self._materials.config.prompt_attention)
        mask = with_copies(mask, prompt, response, copies)
        return Batch(
            rows={**rows, "mask": mask} if padded else rows,
            shared={} if padded else {"mask": mask},
            total=len(whole["answer"]),
            tokens=len(prompts) * (prompt + (1 + copies) * response),
            images=_image_count(rows),
            cut=cut,
        )

    def network_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Extracts the network's tensors from an objective's state, with adapters merged; Hugging Face
        names.
        """
        prefix = "backbone.network."
        own = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
        return own if self._config.lora is None else merged_state(own, self._config.lora)


def _image_count(rows: Mapping[str, Row]) -> int:
    """Number of images opened for a share; 0 if their visual tokens were stored."""
    return sum(len(grid) for grid in rows["grid"]) if "grid" in rows else 0


class ArStage(TextStage):
    """Autoregressive fine-tuning on the reports."""

    name = "ar"

    def __init__(self, materials: Materials, config: StageConfig) -> None:
        super().__init__(materials, config)
        self.objective = ArObjective(materials.backbone, materials.config)

    def batch(self, step: int, share: range) -> Batch:
        drawn = self.indices(step)
        indices = drawn[share.start : share.stop]
        rows = self.base_rows(indices)
        answers = self.answers_of(
            indices
        )  # after the images: those of the studies whose images could be decoded
        lengths = torch.tensor([len(answer) for answer in answers])
        longest = int(lengths.max())
        padded = self._materials.collator.answers(answers)
        rows |= {"answer": padded.tokens[:, :longest], "valid": padded.valid[:, :longest], "length": lengths}
        seen = rows["prompt_valid"]
        assert isinstance(seen, Tensor)
        everywhere = torch.ones(len(indices), longest, dtype=torch.bool)
        valid = torch.cat([seen, everywhere], dim=1)
        alike = bool(seen.all())
        mask = causal_mask(valid[:1] if alike else valid)
        return Batch(
            rows=rows if alike else {**rows, "mask": mask},
            shared={"mask": mask} if alike else {},
            total=len(drawn),
            tokens=valid.numel(),
            images=_image_count(rows),
            cut=self.cut_in(answers),
        )

    def validate(self, processes: Processes) -> dict[str, float]:
        return self._validator.autoregressive(processes)

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._materials.save(self.network_state(state), directory, Stage.AR)


class RadStage(TextStage):
    """Multi-step block diffusion on the reports: the Base."""

    name = "rad"

    def __init__(
        self, materials: Materials, config: RadConfig, answers: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__(materials, config, answers)
        self._complementary = config.complementary
        self.objective = RadObjective(materials.backbone, materials.config)

    def batch(self, step: int, share: range) -> Batch:
        drawn = self.indices(step)
        own = self.base_rows(drawn[share.start : share.stop])
        answers = self.answers_of(
            drawn
        )  # after the images: those of the studies whose images could be decoded
        padded = self._materials.collator.answers(answers)
        noise = draw_noise(
            padded.tokens.shape[0],
            padded.tokens.shape[1],
            self._materials.config.block_size,
            self.noise_generator(step),
            complementary=self._complementary,
        )
        whole = {
            "answer": padded.tokens,
            "valid": padded.valid,
            "masked": noise.masked,
            "weight": noise.weight,
        }
        cut = self.cut_in(answers[share.start : share.stop])
        return self.rad_batch(own, whole, share, noise.masked.shape[1], cut)

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        block = self._materials.config.block_size
        self._materials.save(
            self.network_state(state), directory, Stage.BASE, denoising_steps=block, confidence_threshold=0.85
        )
