"""The training configuration: one YAML file per recipe, every stage a section of it, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import ModelError
from model.train.schedule import Decay
from model.yaml_once import parse_yaml

# The projections that a low-rank adapter changes by default: all of a decoder layer.
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class TrainingConfigError(ModelError):
    """The training configuration is not valid; the message lists every problem with its place."""

    code = "training_config"
    retryable = False


class ConfigSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PhantomData(ConfigSection):
    """Procedural phantoms: seeds from `first_seed` up to `first_seed + count`, rendered once and stored."""

    first_seed: int = Field(0, ge=0)
    count: int = Field(8000, gt=0)
    image_size: int = Field(168, gt=0)
    text: Literal["normalised", "dictated"] = "normalised"


class JsonLinesData(ConfigSection):
    """A file in the format described in docs/training.md, with image files.

    bad_lines: `refuse` ends the run with the number and reason of the bad lines; `skip` trains on the next
    good line instead of a bad one and reports how many there were. The first 5,000 lines are checked before
    the first step, the others while the run continues. most_skipped: the share of bad lines above which even
    a run that skips them ends. limit: read only this many lines, from the first.
    """

    file: Path
    bad_lines: Literal["refuse", "skip"] = "refuse"
    most_skipped: float = Field(0.01, ge=0, le=1)
    limit: int | None = Field(None, gt=0)


class DataConfig(ConfigSection):
    phantoms: PhantomData | None = None
    json_lines: JsonLinesData | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.phantoms is None) == (self.json_lines is None):
            raise ValueError("name either phantoms or json_lines")
        return self


class LoraConfig(ConfigSection):
    """Low-rank adapters on the decoder's layers, merged when the stage ends; all else is frozen."""

    rank: int = Field(16, gt=0)
    alpha: float = Field(32.0, gt=0)
    targets: tuple[str, ...] = LORA_TARGETS


def _short_warmup(section: dict[str, Any]) -> int:
    """Steps of a stage's warmup: 20, or fewer in a stage that is hardly longer."""
    return min(20, section["steps"] - 1) if "steps" in section else 20


class StageConfig(ConfigSection):
    """One stage: fixed steps, batch and learning rate.

    micro_batch: examples per forward pass in each process; by default the process's whole share of the batch.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    micro_batch: int | None = Field(None, gt=0)
    rate: float = Field(gt=0)
    warmup: int = Field(default_factory=_short_warmup, ge=0)
    decay: Decay = "cosine"
    weight_decay: float = Field(0.05, ge=0)
    clip: float = Field(1.0, gt=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    save_every: int = Field(200, gt=0)
    validate_every: int = Field(200, gt=0)
    validation_examples: int = Field(64, gt=0)
    freeze_vision: bool = False
    lora: LoraConfig | None = None
    start: str | None = None  # a stage's name or a checkpoint directory; None: the stage before

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch:
            raise ValueError(f"micro_batch {self.micro_batch} is larger than batch {self.batch}")
        if self.warmup >= self.steps:
            raise ValueError(
                f"warmup {self.warmup} is not below steps {self.steps}, and the rate would only rise; set "
                "warmup lower, such as a twentieth of steps"
            )
        if self.lora is not None and not self.freeze_vision:
            raise ValueError("lora adapts the decoder alone; set freeze_vision: true")
        return self


class LabelsConfig(StageConfig):
    """The vision tower's auxiliary stage; using only frontal images is the most cost-effective."""

    frontal_only: bool = True

    @model_validator(mode="after")
    def _trains_the_tower(self) -> Self:
        if self.freeze_vision or self.lora is not None:
            raise ValueError("this stage trains the vision tower; freeze_vision and lora have no effect")
        return self


class RadConfig(StageConfig):
    freeze_vision: bool = True
    complementary: bool = True


class RolloutConfig(ConfigSection):
    """The teacher's trajectories: collected once, stored sparsely."""

    examples: int = Field(8000, gt=0)
    batch: int = Field(128, gt=0)
    threshold: float = Field(0.85, gt=0, le=1)  # a probability
    top: int = Field(8, gt=0)
    legal_only: bool = True
    teacher: str = "rad"
    # The network whose one-step drafts of the teacher's blocks become DCD's context if they are broken: the
    # student then learns to continue after them. None: the context is the teacher's own blocks.
    student: str | None = None
    lead: float = Field(0.0, ge=0)  # weight of the student's preference relative to the teacher's

    @model_validator(mode="after")
    def _leads_with_a_student(self) -> Self:
        if self.lead > 0 and self.student is None:
            raise ValueError("lead has no effect without student")
        return self


class DcdConfig(StageConfig):
    freeze_vision: bool = True
    trajectories: str = "rollout"  # or the folder of another run's
    # Draws per epoch of a study whose teacher was unsure: where it committed a token at less than this.
    unsure_draws: int = Field(1, ge=1)
    unsure_below: float = Field(0.7, gt=0, le=1)
    # The weight of the teacher's chosen token in each target: 0 only its distribution, 1 only the token.
    choice_weight: float = Field(0.0, ge=0, le=1)
    step_weights: bool = True
    eos_weight: float = Field(0.1, ge=0)
    divergence: Literal["forward", "reverse"] = "forward"


class T3dConfig(StageConfig):
    """The published settings of T3D (arXiv 2602.12262) are the defaults."""

    freeze_vision: bool = True
    trajectories: str = "rollout"
    beta: float = Field(0.1, gt=0)
    alpha: float = Field(0.5, ge=0)
    path_weight: float = Field(0.2, ge=0)
    tokens_per_step: int = Field(4, gt=0)


class TrainingConfig(ConfigSection):
    """A whole recipe. Relative paths are relative to the working directory.

    precision: of the forward and backward pass. With bfloat16, trained weights are kept in float32 (sharded
    over the processes) and frozen ones in bfloat16. features: where the visual tokens of a frozen tower are
    kept: not at all, but computed in every step (`none`), on disk as memory-mapped bfloat16 (`disk`), or in
    memory as float32 (`memory`, for small sets). workers: threads that decode images ahead of the network.
    """

    name: str
    seed: int = Field(1, ge=0)
    run: Path
    network: dict[str, int] | None = None  # sizes of a new small network; None: `start` names a checkpoint
    start: Path | None = None
    vocabulary: Literal["kept", "fresh"] = "kept"  # taken from the first stage's start, or learnt anew
    block_size: int = Field(8, gt=0)
    max_tokens: int = Field(256, gt=0)  # tokens of the longest report, for a new small network
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_activations: bool = False
    features: Literal["none", "disk", "memory"] = "memory"
    workers: int = Field(2, gt=0)
    data: DataConfig
    distillation: DataConfig | None = None  # of rollout, DCD and T3D; None: `data`
    validation: DataConfig
    labels: LabelsConfig | None = None
    ar: StageConfig | None = None
    rad: RadConfig | None = None
    rollout: RolloutConfig | None = None
    dcd: DcdConfig | None = None
    t3d: T3dConfig | None = None

    @model_validator(mode="after")
    def _settings_have_effect(self) -> Self:
        if self.network is not None and self.start is not None:
            raise ValueError("network has no effect together with start: a checkpoint has its own sizes")
        if self.distillation is not None and not (self.rollout or self.dcd or self.t3d):
            raise ValueError("distillation has no effect without rollout, dcd or t3d")
        if self.labels is not None and self.data.json_lines is not None:
            raise ValueError("labels needs phantoms, whose truth is known; leave it out for json_lines")
        return self


def load_training_config(path: Path) -> TrainingConfig:
    """Reads and validates a recipe.

    Raises:
        TrainingConfigError: with every problem and its place in the file.
    """
    return parse_training_config(read_yaml(path), str(path))


def read_yaml(path: Path) -> object:
    """Reads a YAML file. Raises: TrainingConfigError if it cannot be read or is not YAML."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingConfigError(
            f"{path}: cannot be read ({error.strerror}); name an existing YAML file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingConfigError(f"{path}: not valid YAML: {error}") from error


def parse_training_config(loaded: object, source: str) -> TrainingConfig:
    """Validates a recipe. Raises: TrainingConfigError with every problem and its place in `source`."""
    try:
        return TrainingConfig.model_validate(loaded)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TrainingConfigError(f"{source}: {problems}") from error
