"""A whole recipe, stage by stage: what each starts from; a finished stage is not run again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from model.network.backbone import Backbone
from model.network.checkpoint import load_checkpoint
from model.network.config import ModelConfig, Stage, tiny_config, tiny_network
from model.network.prompt import PROMPT_WORDS
from model.network.tokenizer import IMAGE_PAD, MASK, ReportTokenizer, train_tokenizer
from model.train.batches import ExampleSet
from model.train.config import ConfigSection, DataConfig, StageConfig, TrainingConfig, TrainingConfigError
from model.train.curves import draw_curves
from model.train.distill import DcdStage, T3dStage
from model.train.json_lines import JsonLinesExamples
from model.train.loop import Machine, Report, train
from model.train.parallel import Processes
from model.train.phantoms import PhantomExamples, render_phantoms
from model.train.run_folder import (
    Settings,
    check_settings,
    check_studies,
    held,
    keep_settings,
    settings_of,
    storage_errors,
)
from model.train.stages import ArStage, LabelsStage, Materials, RadStage, Setting
from model.train.trajectories import StoredTrajectories, collect

STAGES = ("labels", "ar", "rad", "rollout", "dcd", "t3d")
_DISTILLATIONS = ("rollout", "dcd", "t3d")
_TOKENIZER_TEXTS = 2000
_SMALL_IMAGE = 168  # px, of a new small network on a user's own images


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """The run that finished a stage: its duration, including rendering, and its machine.

    cpu_seconds: of the first process; on a shared machine more meaningful than `seconds`.
    """

    seconds: float
    machine: str
    cpu_seconds: float | None = None


class Recipe:
    """The runs of one configuration; every stage leaves a checkpoint (or its trajectories) in its own
    folder.
    """

    def __init__(self, config: TrainingConfig, *, clock: Callable[[], float], report: Report) -> None:
        self.config = config
        self._clock = clock
        self._report = report
        self._opened: dict[DataConfig, ExampleSet] = {}
        self.processes = Processes.join()

    def folder(self, stage: str) -> Path:
        """Where a stage's results are."""
        return self.config.run / stage

    def done(self, stage: str) -> bool:
        """Whether a stage is finished."""
        return (self.folder(stage) / "done").exists()

    def stages(self) -> list[str]:
        """The stages that the configuration names, in order."""
        return [stage for stage in STAGES if getattr(self.config, stage) is not None]

    def note_commit(self, commit: str) -> list[str]:
        """Records the code that a run uses; returns every commit that was used in it."""
        file = self.config.run / "commits"
        known = file.read_text(encoding="utf-8").split() if file.exists() else []
        if commit not in known:
            known.append(commit)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(known) + "\n", encoding="utf-8")
        return known

    def run_all(self) -> None:
        """Runs every stage that is not finished. Raises: as `run`."""
        for stage in self.stages():
            self.run(stage)

    def run(self, stage: str) -> Path:
        """Runs one stage, or continues it; a finished one is left as it is. Returns its folder.

        Raises:
            TrainingConfigError if the configuration has no such section or its start is missing;
                RunSettingsError, RunInUseError or RunStorageError if the folder cannot be used for this run.
        """
        section = getattr(self.config, stage, None)
        if section is None:
            raise TrainingConfigError(f"the configuration has no section {stage!r}; it has {self.stages()}")
        folder, finished = self.folder(stage), self.done(stage)
        settings = settings_of(self.config, stage, section, self._data_of(stage))
        if finished:
            check_settings(folder, settings, finished=True)
            return folder
        with storage_errors(folder), held(folder) if self.processes.first else nullcontext():
            self._begin(stage, settings)
            self._run(stage, section)
        return folder

    def _begin(self, stage: str, settings: Settings) -> None:
        """Stores a stage's settings in its folder; refuses settings that do not fit an interrupted run."""
        folder = self.folder(stage)
        changed = check_settings(folder, settings, finished=False)
        self.processes.wait()
        if self.processes.first:
            keep_settings(folder, settings)
            if changed:
                self._report({stage: f"continues with other settings: {changed}"})

    def _run(self, stage: str, section: ConfigSection) -> None:
        """Runs a stage to the end, and records that it is finished."""
        started, worked = self._clock(), time.process_time()
        if isinstance(section, StageConfig):
            torch.manual_seed(self.config.seed)
            self._train(stage, section)
        else:
            self._roll_out()
        for examples in self._opened.values():
            examples.finish_check()
        if self.processes.first:
            record = StageRecord(
                seconds=round(self._clock() - started, 1),
                machine=_machine(self.processes),
                cpu_seconds=round(time.process_time() - worked, 1),
            )
            (self.folder(stage) / "done").write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
        self.processes.wait()

    def records(self) -> list[tuple[str, StageRecord]]:
        """The finished stages, in order."""
        finished = [(stage, self.folder(stage) / "done") for stage in self.stages() if self.done(stage)]
        return [(stage, StageRecord(**json.loads(file.read_text("utf-8")))) for stage, file in finished]

    def materials(self, start: str | None, stage: str) -> Materials:
        """The network that a stage starts from, with the data."""
        backbone, config, tokenizer = self._start(start, stage)
        return Materials(
            backbone=backbone.to(self.processes.device),
            config=config,
            tokenizer=tokenizer,
            examples=self._open(self._data_of(stage)),
            validation=self._open(self.config.validation),
            seed=self.config.seed,
            setting=Setting(
                processes=self.processes,
                precision=self.config.precision,
                checkpoint_activations=self.config.checkpoint_activations,
                features=self.config.features,
                folder=self.config.run.parent / "features",
            ),
        )

    def _train(self, name: str, section: StageConfig) -> None:
        materials = self.materials(section.start, name)
        folder = self.folder(name)
        machine = Machine(
            processes=self.processes,
            clock=self._clock,
            precision=self.config.precision,
            workers=self.config.workers,
        )
        train(self.stage(name, materials), section, folder, machine=machine, report=self._report)
        if self.processes.first:
            draw_curves(folder / "log.jsonl", folder / "curves.png")

    def stage(self, name: str, materials: Materials) -> AnyStage:
        """Creates a stage with its materials."""
        config = self.config
        if name == "labels" and config.labels is not None:
            return LabelsStage(materials, config.labels)
        if name == "ar" and config.ar is not None:
            return ArStage(materials, config.ar)
        if name == "rad" and config.rad is not None:
            return RadStage(materials, config.rad)
        if name == "dcd" and config.dcd is not None:
            return DcdStage(materials, config.dcd, self._trajectories(config.dcd.trajectories, materials))
        assert config.t3d is not None
        return T3dStage(materials, config.t3d, self._trajectories(config.t3d.trajectories, materials))

    def _roll_out(self) -> None:
        section = self.config.rollout
        assert section is not None
        materials = self.materials(section.teacher, "rollout")
        student = None
        if section.student is not None:
            student = self._loaded(self._named(section.student))[0].to(materials.backbone.device).eval()
        collect(materials, section, self.folder("rollout"), report=self._report, student=student)

    def _trajectories(self, name: str, materials: Materials) -> StoredTrajectories:
        folder = self._named(name)
        if not (folder / "done").exists():
            raise TrainingConfigError(f"{folder} holds no trajectories; run the stage 'rollout' first")
        check_studies(folder, self.config.distillation or self.config.data)
        return StoredTrajectories.load(folder, len(materials.examples))

    def _named(self, name: str) -> Path:
        """A stage's folder, or another run's by its path."""
        return self.folder(name) if name in STAGES or not Path(name).exists() else Path(name)

    def _start(self, start: str | None, stage: str) -> tuple[Backbone, ModelConfig, ReportTokenizer]:
        """The checkpoint that a stage starts from: named, the stage before it, or a fresh network."""
        if start is None:
            earlier = [s for s in self.stages() if s != "rollout"]
            earlier = earlier[: earlier.index(stage)] if stage in earlier else earlier
            start = "rad" if stage in ("dcd", "t3d") else (earlier[-1] if earlier else None)
        if start is None:
            return self._fresh() if self.config.start is None else self._loaded(self.config.start)
        if stage == self.stages()[0] and self.config.vocabulary == "fresh":
            return self._with_new_words(self._named(start))
        return self._loaded(self._named(start))

    def _loaded(self, folder: Path) -> tuple[Backbone, ModelConfig, ReportTokenizer]:
        checkpoint = load_checkpoint(folder, dtype=getattr(torch, self.config.precision))
        size = self.config.block_size
        steps = min(checkpoint.config.denoising_steps, size)
        config = replace(checkpoint.config, block_size=size, denoising_steps=steps)
        return checkpoint.backbone, config, checkpoint.tokenizer

    def _with_new_words(self, folder: Path) -> tuple[Backbone, ModelConfig, ReportTokenizer]:
        """A checkpoint's layers with a vocabulary from these data; only the word embeddings are new."""
        backbone, config, tokenizer = self._fresh()
        known = load_checkpoint(folder).backbone.network.state_dict()
        fresh = backbone.network.state_dict()
        fitting = {name: value for name, value in known.items() if value.shape == fresh[name].shape}
        backbone.network.load_state_dict({**fresh, **fitting})
        return backbone, config, tokenizer

    def _fresh(self) -> tuple[Backbone, ModelConfig, ReportTokenizer]:
        """A new small network and a vocabulary from the reports of the data."""
        examples, phantoms = self._open(self.config.data), self.config.data.phantoms
        texts = [examples.without_images(i).answer for i in range(min(_TOKENIZER_TEXTS, len(examples)))]
        tokenizer = train_tokenizer(texts, required=PROMPT_WORDS)
        ids = {"image_token_id": tokenizer.special(IMAGE_PAD), "eos_token_id": tokenizer.eos_id}
        network = tiny_network(vocab_size=tokenizer.vocab_size, **ids, **(self.config.network or {}))
        for part in ("text_config", "vision_config"):
            # transformers' 0.02 suits wide layers; a narrow layer's output would start near zero.
            network[part]["initializer_range"] = network[part]["hidden_size"] ** -0.5
        config = tiny_config(
            vocab_size=tokenizer.vocab_size,
            mask_token_id=tokenizer.special(MASK),
            block_size=self.config.block_size,
            max_tokens=self.config.max_tokens,
            stage=Stage.AR,
            network=network,
            name=self.config.name,
            canonical=phantoms is not None and phantoms.text == "normalised",
            reads_context=phantoms is None,
            image_size=_SMALL_IMAGE if phantoms is None else phantoms.image_size,
            **ids,
        )
        torch.manual_seed(self.config.seed)
        return Backbone.from_config(network), config, tokenizer

    def _data_of(self, stage: str) -> DataConfig:
        """Distillation may use its own studies, because a teacher is never unsure about those that it was
        trained on.
        """
        if stage in _DISTILLATIONS and self.config.distillation is not None:
            return self.config.distillation
        return self.config.data

    def _open(self, data: DataConfig) -> ExampleSet:
        if data not in self._opened:
            self._opened[data] = open_data(
                data,
                self.config.run,
                self.processes,
                self._say,
                lambda text: self._report({"phantoms": text}),
            )
        return self._opened[data]

    def _say(self, text: str) -> None:
        """Reports skipped lines, and logs them in the run's folder."""
        self._report({"data": text})
        self.config.run.mkdir(parents=True, exist_ok=True)
        with (self.config.run / "skipped.log").open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")


AnyStage = LabelsStage | ArStage | RadStage | DcdStage | T3dStage


def open_data(
    data: DataConfig,
    run: Path,
    processes: Processes,
    say: Callable[[str], None],
    progress: Callable[[str], None] | None = None,
) -> ExampleSet:
    """Opens (and, for phantoms, renders) the examples of a configuration.

    say: called with a line of text when lines are skipped. progress: likewise, now and then while phantoms
    are rendered.
    """
    if data.phantoms is not None:
        folder = run.parent / "phantoms"
        if processes.first:
            render_phantoms(data.phantoms, folder, processes=os.cpu_count() or 1, say=progress)
        processes.wait()
        return PhantomExamples(data.phantoms, folder)
    assert data.json_lines is not None
    return JsonLinesExamples.open(data.json_lines, say, watched=processes.first)


def _machine(processes: Processes) -> str:
    """Describes the machine that a stage ran on."""
    if processes.device.type == "cuda":
        return f"{processes.count} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores" + (f", {processes.count} processes" if processes.count > 1 else "")
