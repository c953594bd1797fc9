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

from model.batching import BatchQueue, ReportQueue
from model.checkpoint import Checkpoint, load_checkpoint
from model.config import Stage
from model.decode import Decoded, DecodeOptions, decode_autoregressive
from model.device import DeviceChoice, DeviceName, select_device
from model.draft import DraftFlag, DraftSentence, DraftText, FlagCode
from model.engine import Engine
from model.errors import PromptError
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.memory import affordable_slots, free_memory
from model.prompt import Prompt, ReportContext, build_prompt, longest_prompt
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

    queue: what decodes. clock: seconds, for the drafts' `seconds`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        choice: DeviceChoice,
        queue: ReportQueue,
        *,
        vocabulary: Vocabulary | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._config, self._tokenizer = checkpoint.config, checkpoint.tokenizer
        self._queue, self._clock = queue, clock
        self._options = DecodeOptions.of(checkpoint.config)
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
        slots: int = 8,
        memory_fraction: float = 0.8,
        vocabulary: Vocabulary | None = None,
    ) -> Self:
        """Loads a checkpoint and makes room for decoding.

        slots: the most reports in decoding at once; fewer where they do not fit into `memory_fraction`
        (0..1) of the memory that is free once the weights are loaded.
        Raises: CheckpointError, DeviceError, OutOfMemoryError.
        """
        choice = select_device(device)
        checkpoint = load_checkpoint(directory, device=choice.device, dtype=choice.dtype)
        queue = _queue_for(checkpoint, choice, slots, memory_fraction)
        return cls(checkpoint, choice, queue, vocabulary=vocabulary)

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
        """Decodes and reads over; what is doubtful enters the queue once more, to be decoded carefully."""
        try:
            return self._served(prompts)
        finally:
            self._queue.clear()  # after a failure; otherwise it is empty

    def _served(self, prompts: Sequence[Prompt]) -> list[Review]:
        rows = {self._queue.submit(prompt): row for row, prompt in enumerate(prompts)}
        reviews: dict[int, Review] = {}
        again: dict[int, Prompt] = {}
        while self._queue.busy:
            for ticket, report in self._queue.advance():
                row = rows.pop(ticket)
                if row in again:
                    reviews[row] = self._better(reviews[row], again[row], report)
                    continue
                reviews[row] = self._review(report)
                if self._could_be_better(reviews[row]):
                    again[row] = self._begun(prompts[row], reviews[row])
                    rows[self._queue.submit(again[row], self._careful(again[row]))] = row
        return [reviews[row] for row in range(len(prompts))]

    def _could_be_better(self, found: Review) -> bool:
        """Whether a report is doubtful and was not decoded token by token already."""
        hasty = self._config.stage is not Stage.AR and self._options.steps < self._config.block_size
        return hasty and found.first_doubtful_token is not None

    def _begun(self, prompt: Prompt, found: Review) -> Prompt:
        """The prompt with the report's blocks before its first doubtful one."""
        doubtful = found.first_doubtful_token or 0
        kept = self._options.block_start(doubtful, len(prompt.input_ids))
        return dataclasses.replace(prompt, answer=found.report.tokens[:kept])

    def _careful(self, begun: Prompt) -> DecodeOptions:
        return dataclasses.replace(
            self._options,
            steps=self._config.block_size,
            threshold=_AGAIN_THRESHOLD,
            max_tokens=self._options.max_tokens - len(begun.answer),
        )

    def _better(self, first: Review, begun: Prompt, rest: Decoded) -> Review:
        """The better of the first reading and the one that ends in `rest`, with the cost of both."""
        second = self._review(_joined(first.report, len(begun.answer), rest, self._options))
        cost = first.report.forwards + rest.forwards
        better = min(first, second, key=lambda found: found.badness)
        return dataclasses.replace(better, report=dataclasses.replace(better.report, forwards=cost))

    def _review(self, report: Decoded) -> Review:
        return review(report, self._tokenizer, self._vocabulary, canonical=self._config.canonical)


def _queue_for(
    checkpoint: Checkpoint, choice: DeviceChoice, slots: int, memory_fraction: float
) -> ReportQueue:
    """The engine, or for a model that knows no blocks the autoregressive decoder in batches."""
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    prompt_tokens = longest_prompt(tokenizer, config)
    room = affordable_slots(
        config,
        choice.dtype,
        longest_prompt=prompt_tokens,
        longest_report=config.max_tokens,
        free=free_memory(choice.device),
        fraction=memory_fraction,
        most=slots,
    )
    pad = tokenizer.pad_id
    if config.stage is Stage.AR:
        return BatchQueue(decode_autoregressive, checkpoint.backbone, config, pad_id=pad, batch=room)
    return Engine(checkpoint.backbone, config, pad_id=pad, slots=room, longest_prompt=prompt_tokens)


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


def _joined(report: Decoded, kept: int, rest: Decoded, options: DecodeOptions) -> Decoded:
    """A report's first `kept` tokens, whole blocks, and the continuation that replaces what followed."""
    blocks = -(-kept // options.block_size)
    return dataclasses.replace(
        rest,
        tokens=report.tokens[:kept] + rest.tokens,
        confidences=report.confidences[:kept] + rest.confidences,
        block_confidences=report.block_confidences[:blocks] + rest.block_confidences,
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
