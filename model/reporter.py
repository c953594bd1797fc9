"""The package's door: a study's images and context in, a draft report out.

One-step output breaks now and then, and mostly on abnormal findings. So every draft is read over: what
reads as broken, contradicts itself or was said with little confidence is decoded again, from its first
doubtful block on and one token at a time. What stays doubtful is flagged in the draft.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from model.checkpoint import Checkpoint, load_checkpoint
from model.config import Stage
from model.decode import Decoded, DecodeOptions, choose_decoder
from model.device import DeviceChoice, DeviceName, select_device
from model.draft import DraftFlag, DraftSentence, DraftText, FlagCode
from model.errors import PromptError
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.prompt import Prompt, ReportContext, build_prompt, collate_prompts
from model.review import Review, review

__all__ = [
    "Context",
    "DraftFlag",
    "DraftSentence",
    "DraftText",
    "FlagCode",
    "Image",
    "ModelIdentity",
    "ReportContext",
    "Reporter",
    "ReporterImage",
]

View = Literal["frontal", "lateral", "unknown"]
# When a doubtful block is decoded again: a step commits one token, and every other this sure of itself.
_AGAIN_THRESHOLD = 0.9

_FRONTAL_ALONE = DraftFlag(
    code=FlagCode.MISSING_LATERAL, text="Drafted from the frontal view alone: no lateral view."
)
_LATERAL_ALONE = DraftFlag(
    code=FlagCode.INCOMPLETE_STUDY, text="Drafted from the lateral view alone: no frontal view."
)
_VIEW_UNKNOWN = DraftFlag(
    code=FlagCode.INCOMPLETE_STUDY, text="The image does not state its view; it was read as frontal."
)


class Image(Protocol):
    """An image as the reporter takes it: uint8 `[H, W]`, bright is dense, and its view."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...

    @property
    def view(self) -> View: ...


class Context(Protocol):
    """What is known besides the pixels; empty means unknown."""

    @property
    def indication(self) -> str: ...

    @property
    def comparison(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReporterImage:
    """One image: uint8 `[H, W]`, bright is dense."""

    pixels: npt.NDArray[np.uint8]
    view: View = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model writes the drafts: what a report's algorithm identification names."""

    name: str
    version: str
    weights_sha256: str
    demonstration: bool
    licence: str
    block_size: int
    stage: Stage


class Reporter:
    """Drafts reports with one checkpoint on one device.

    batch: studies that are decoded together. clock: seconds, for the drafts' `seconds`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        choice: DeviceChoice,
        *,
        batch: int = 8,
        vocabulary: Vocabulary | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backbone, self._config = checkpoint.backbone, checkpoint.config
        self._tokenizer = checkpoint.tokenizer
        self._decode = choose_decoder(checkpoint.config)
        self._options = DecodeOptions.of(checkpoint.config)
        self._batch, self._clock = batch, clock
        self._vocabulary = vocabulary or load_vocabulary()
        self.device = choice
        self.identity = ModelIdentity(
            name=self._config.name,
            version=self._config.version,
            weights_sha256=checkpoint.weights_sha256,
            demonstration=self._config.demonstration,
            licence=self._config.licence,
            block_size=self._config.block_size,
            stage=self._config.stage,
        )

    @classmethod
    def load(
        cls,
        directory: Path,
        device: DeviceName = "auto",
        *,
        batch: int = 8,
        vocabulary: Vocabulary | None = None,
    ) -> Self:
        """Loads a checkpoint. Raises: CheckpointError, DeviceError."""
        choice = select_device(device)
        checkpoint = load_checkpoint(directory, device=choice.device, dtype=choice.dtype)
        return cls(checkpoint, choice, batch=batch, vocabulary=vocabulary)

    def draft(self, images: Sequence[Image], context: Context | None = None) -> DraftText:
        """Drafts one study. Raises: PromptError, OutOfMemoryError."""
        return self.draft_many([(images, context or ReportContext())])[0]

    def draft_many(self, studies: Sequence[tuple[Sequence[Image], Context]]) -> list[DraftText]:
        """Drafts several studies together: one draft each, in order, as if each were alone."""
        started = self._clock()
        prompts = [self._prompt(images, context) for images, context in studies]
        reviews = self._reviewed(prompts)
        seconds = (self._clock() - started) / max(1, len(studies))
        return [
            _compose(result, _view_flags(images), seconds)
            for result, (images, _) in zip(reviews, studies, strict=True)
        ]

    def _prompt(self, images: Sequence[Image], context: Context) -> Prompt:
        chosen = _choose(images)
        known = ReportContext()
        if self._config.reads_context:
            known = ReportContext(indication=context.indication, comparison=context.comparison)
        return build_prompt(self._tokenizer, self._config, [image.pixels for image in chosen], known)

    def _reviewed(self, prompts: Sequence[Prompt]) -> list[Review]:
        """Decodes, reads over, and decodes again what is doubtful and could have been done with more care."""
        reviews = [self._review(report) for report in self._run(prompts, self._options)]
        if self._config.stage is Stage.AR or self._options.steps == self._config.block_size:
            return reviews
        doubtful = [row for row, found in enumerate(reviews) if found.first_doubtful_token is not None]
        begun = [self._begun(prompts[row], reviews[row]) for row in doubtful]
        careful = dataclasses.replace(
            self._options, steps=self._config.block_size, threshold=_AGAIN_THRESHOLD
        )
        for row, prompt, more in zip(doubtful, begun, self._run(begun, careful), strict=True):
            again = self._review(_joined(reviews[row].report, len(prompt.answer), more, self._options))
            cost = reviews[row].report.forwards + more.forwards
            better = min(reviews[row], again, key=lambda found: found.badness)
            reviews[row] = dataclasses.replace(
                better, report=dataclasses.replace(better.report, forwards=cost)
            )
        return reviews

    def _run(self, prompts: Sequence[Prompt], options: DecodeOptions) -> list[Decoded]:
        reports: list[Decoded] = []
        for first in range(0, len(prompts), self._batch):
            some = prompts[first : first + self._batch]
            batch = collate_prompts(some, self._config, self._tokenizer.pad_id)
            reports += self._decode(self._backbone, batch, options)
        return reports

    def _review(self, report: Decoded) -> Review:
        return review(report, self._tokenizer, self._vocabulary, canonical=self._config.canonical)

    def _begun(self, prompt: Prompt, found: Review) -> Prompt:
        """The prompt with the report's blocks before its first doubtful one."""
        doubtful = found.first_doubtful_token or 0
        kept = self._options.block_start(doubtful, len(prompt.input_ids))
        return dataclasses.replace(prompt, answer=found.report.tokens[:kept])


def _choose(images: Sequence[Image]) -> list[Image]:
    """What the model was trained to see: one frontal image, then one lateral one, the first of each."""
    if not images:
        raise PromptError("a study needs at least one image")
    frontal = [image for image in images if image.view == "frontal"]
    unknown = [image for image in images if image.view == "unknown"]
    lateral = [image for image in images if image.view == "lateral"]
    return [*(frontal or unknown)[:1], *lateral[:1]]


def _view_flags(images: Sequence[Image]) -> list[DraftFlag]:
    views = [image.view for image in _choose(images)]
    flags = []
    if "lateral" not in views:
        flags.append(_FRONTAL_ALONE)
    if "unknown" in views:
        flags.append(_VIEW_UNKNOWN)
    if views == ["lateral"]:
        flags.append(_LATERAL_ALONE)
    left_out = len(images) - len(views)
    if left_out:
        text = f"Drafted from {len(views)} of the study's {len(images)} images; the others were not read."
        flags.append(DraftFlag(code=FlagCode.INCOMPLETE_STUDY, text=text))
    return flags


def _joined(report: Decoded, kept: int, more: Decoded, options: DecodeOptions) -> Decoded:
    """The first `kept` tokens of a report with the continuation that replaces the rest."""
    blocks = -(-kept // options.block_size)
    tokens = report.tokens[:kept] + more.tokens
    return dataclasses.replace(
        more,
        tokens=tokens[: options.max_tokens],
        confidences=(report.confidences[:kept] + more.confidences)[: options.max_tokens],
        block_confidences=report.block_confidences[:blocks] + more.block_confidences,
        stopped=more.stopped and len(tokens) < options.max_tokens,
    )


def _compose(found: Review, view_flags: Sequence[DraftFlag], seconds: float) -> DraftText:
    sentences = {"findings": list[DraftSentence](), "impression": list[DraftSentence]()}
    for spoken, doubtful in zip(found.sentences, found.doubtful, strict=True):
        sentence = DraftSentence(text=spoken.text, confidence=spoken.confidence, doubtful=doubtful)
        sentences[spoken.section].append(sentence)
    return DraftText(
        findings_sentences=tuple(sentences["findings"]),
        impression_sentences=tuple(sentences["impression"]),
        text=found.text,
        findings=found.findings,
        flags=(*found.flags, *view_flags),
        tokens=found.report.length,
        forwards=found.report.forwards,
        blocks=found.report.blocks,
        seconds=seconds,
    )
