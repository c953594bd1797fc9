"""The training configuration: one YAML file per recipe, every stage a section of it, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import ModelError
from model.train.schedule import Decay


class TrainingConfigError(ModelError):
    """The training configuration is not valid; the message lists every problem with its place."""

    code = "training_config"
    retryable = False


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhantomData(Section):
    """Procedural phantoms: seeds `first_seed` up to `first_seed + count`, rendered once and kept."""

    first_seed: int = 0
    count: int = 8000
    image_size: int = 168
    text: Literal["normalised", "dictated"] = "normalised"


class JsonLinesData(Section):
    """A file of lines {id, images, indication?, comparison?, findings, impression}, with image files."""

    file: Path
    image_size: int = 168


class DataConfig(Section):
    phantoms: PhantomData | None = None
    json_lines: JsonLinesData | None = None


class StageConfig(Section):
    """One stage: fixed steps, batch and learning rate."""

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    micro_batch: int | None = None  # None: the whole batch at once
    rate: float = Field(gt=0)
    warmup: int = 20
    decay: Decay = "cosine"
    weight_decay: float = 0.05
    clip: float = 1.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    save_every: int = 200
    validate_every: int = 200
    validation_examples: int = 64
    freeze_vision: bool = False
    start: str | None = None  # a stage's name or a checkpoint directory; None: the stage before


class LabelsConfig(StageConfig):
    """The vision tower's auxiliary stage; frontal images alone teach it most for their price."""

    frontal_only: bool = True


class RadConfig(StageConfig):
    freeze_vision: bool = True
    complementary: bool = True


class RolloutConfig(Section):
    """The teacher's trajectories: collected once, kept sparsely."""

    examples: int = 8000
    batch: int = 128
    threshold: float = 0.85
    top: int = 8
    legal_only: bool = True
    teacher: str = "rad"
    # Whose one-step drafts of the teacher's blocks are kept where they are broken, as DCD's context: who has
    # seen them goes on behind them. None: the context is the teacher's own blocks.
    student: str | None = None
    lead: float = Field(0.0, ge=0)  # how much the student's leaning counts beside the teacher's


class DcdConfig(StageConfig):
    freeze_vision: bool = True
    trajectories: str = "rollout"  # or the folder of another run's
    # Draws per epoch of a study whose teacher was unsure: where it committed a token at less than this.
    unsure_draws: int = Field(1, ge=1)
    unsure_below: float = Field(0.7, gt=0, le=1)
    # How much of each target is the teacher's choice alone: 0 its distribution, 1 the token.
    choice_weight: float = Field(0.0, ge=0, le=1)
    step_weights: bool = True
    eos_weight: float = 0.1
    divergence: Literal["forward", "reverse"] = "forward"


class T3dConfig(StageConfig):
    freeze_vision: bool = True
    trajectories: str = "rollout"
    beta: float = 1.0
    alpha: float = 0.1
    path_weight: float = 1.0
    tokens_per_step: int = 2


class TrainingConfig(Section):
    """A whole recipe. Relative paths are relative to the working directory."""

    name: str
    seed: int = 1
    run: Path
    network: dict[str, int] | None = None  # sizes of a new small network; None: `start` names a checkpoint
    start: Path | None = None
    vocabulary: Literal["kept", "fresh"] = "kept"  # of the first stage's start; or learnt anew
    block_size: int = 8
    data: DataConfig
    distillation: DataConfig | None = None  # of rollout, DCD and T3D; None: `data`
    validation: DataConfig
    labels: LabelsConfig | None = None
    ar: StageConfig | None = None
    rad: RadConfig | None = None
    rollout: RolloutConfig | None = None
    dcd: DcdConfig | None = None
    t3d: T3dConfig | None = None


def load_training_config(path: Path) -> TrainingConfig:
    """Reads and validates a recipe.

    Raises:
        TrainingConfigError: with every problem and its place in the file.
    """
    return parse_training_config(read_yaml(path), str(path))


def read_yaml(path: Path) -> object:
    """Reads a YAML file. Raises: TrainingConfigError where it cannot be read or is no YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingConfigError(
            f"{path}: cannot be read ({error.strerror}); name an existing YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise TrainingConfigError(f"{path}: not valid YAML: {error}") from error


def parse_training_config(loaded: object, source: str) -> TrainingConfig:
    """Validates a recipe. Raises: TrainingConfigError with every problem and its place in `source`."""
    try:
        return TrainingConfig.model_validate(loaded)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TrainingConfigError(f"{source}: {problems}") from error
