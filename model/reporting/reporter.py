"""The package's interface: turns a study's images and context into a draft report.

One-step output is occasionally broken, mostly on abnormal findings. So every draft is reviewed: a text that
is broken, contradicts itself or has low confidence is decoded again, from its first doubtful block on and one
token at a time. What remains doubtful is flagged in the draft.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from model.decode import Decoded, DecodeOptions
from model.decode.engine import Engine
from model.drafts.draft import DraftSentence, DraftText, ModelIdentity
from model.drafts.study import Image, Key, ReportContext, Study, StudyList, StudySource, View
from model.errors import PromptError
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.network.checkpoint import Checkpoint, load_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.device import DeviceChoice, DeviceName, select_device
from model.network.memory import affordable_slots, free_memory
from model.network.prompt import Prompt, build_prompt, chosen_views, longest_prompt
from model.network.tokenizer import ReportTokenizer
from model.network.word_order import WordOrder, load_word_order
from model.reporting.quantization import quantize
from model.reporting.review import Review, review
from model.reporting.stream import ReportQueue, Stream, StudyOutcome

# When a doubtful block is decoded again, a step commits one token, and every other with at least this
# confidence.
_AGAIN_THRESHOLD = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReporterImage:
    """One image: uint8 `[H, W]`, bright is dense."""

    pixels: npt.NDArray[np.uint8]
    view: View = "unknown"


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
        order: WordOrder | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        config = checkpoint.config
        self._queue, self._clock = queue, clock
        self._desk = _Desk(config, checkpoint.tokenizer, vocabulary or load_vocabulary(), order)
        self.device = choice
        self.identity = ModelIdentity(
            name=config.name,
            version=config.version,
            weights_sha256=checkpoint.weights_sha256,
            demonstration=config.demonstration,
            licence=config.licence,
            block_size=config.block_size,
            stage=config.stage,
        )

    @classmethod
    def load(
        cls,
        directory: Path,
        device: DeviceName = "auto",
        *,
        slots: int = 8,
        memory_fraction: float = 0.8,
        quantization: Literal["none", "int8"] = "none",
        probes: Callable[[int], Sequence[NDArray[np.uint8]]] | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> Self:
        """Loads a checkpoint and makes room for decoding.

        slots: the most reports in decoding at once; fewer where they do not fit into `memory_fraction`
        (0..1) of the memory that is free once the weights are loaded. quantization: `int8` halves the memory
        of the weights, if the model then still writes the same about the images that `probes` returns for a
        size (px).
        Raises:
            CheckpointError, DeviceError, QuantizationError, OutOfMemoryError.
        """
        choice = select_device(device)
        checkpoint = load_checkpoint(directory, device=choice.device, dtype=choice.dtype)
        if quantization == "int8":
            images = () if probes is None else probes(checkpoint.config.image_size)
            quantize(checkpoint, images)
        else:
            checkpoint.backbone.prepare_for_inference()
        queue = _engine_for(checkpoint, choice, slots, memory_fraction)
        return cls(checkpoint, choice, queue, vocabulary=vocabulary, order=load_word_order(directory))

    @property
    def slots(self) -> int:
        """The most reports in decoding at once."""
        return self._queue.slots

    def draft(self, images: Sequence[Image], context: ReportContext | None = None) -> DraftText:
        """Drafts one study. Raises: PromptError, OutOfMemoryError."""
        return self.draft_many([(images, context or ReportContext())])[0]

    def draft_many(self, studies: Sequence[tuple[Sequence[Image], ReportContext]]) -> list[DraftText]:
        """Drafts several studies together: one draft each, in order, as if each were alone.

        Raises:
            PromptError, OutOfMemoryError for the first study that cannot be drafted.
        """
        source = StudyList(
            Study(key=row, images=images, context=context) for row, (images, context) in enumerate(studies)
        )
        drafts: dict[int, DraftText] = {}
        with closing(self.draft_stream(source)) as stream:
            for row, draft in stream:
                if isinstance(draft, Exception):
                    raise draft
                drafts[row] = draft
        return [drafts[row] for row in range(len(studies))]

    def draft_stream(
        self, source: StudySource[Key], *, ahead: int | None = None
    ) -> Generator[tuple[Key, DraftText | Exception]]:
        """Drafts the source's studies, and returns each draft as soon as it is done.

        ahead: studies that are prepared while others are decoded, beyond `slots`; by default as many again. A
        study that cannot be drafted is returned with its error, and the others continue. A raised exception
        means a failure of the device: studies taken but not returned are dropped, as when the stream is
        closed early; the next stream starts afresh. One stream at a time.
        """
        ahead = self._queue.slots if ahead is None else ahead
        with ThreadPoolExecutor(1, thread_name_prefix="studies") as helper:
            stream = Stream(source, self._queue, self._desk, helper, ahead=ahead, clock=self._clock)
            with closing(stream.run()) as outcomes:
                for study, outcome in outcomes:
                    if isinstance(outcome.result, Exception):
                        yield study.key, outcome.result
                    else:
                        yield study.key, _compose(outcome.result, outcome)


class _Desk:
    """Prompts and reviews for this checkpoint."""

    def __init__(
        self,
        config: ModelConfig,
        tokenizer: ReportTokenizer,
        vocabulary: Vocabulary,
        order: WordOrder | None = None,
    ) -> None:
        self._config, self._tokenizer, self._vocabulary = config, tokenizer, vocabulary
        self._order = order
        self._options = DecodeOptions.of(config)

    def prompt(self, images: Sequence[Image], context: ReportContext | None) -> Prompt:
        """The study in the decoder's form, and the context for a model that reads it."""
        ordered = _ordered(images, self._config)
        known = context if context is not None and self._config.reads_context else ReportContext()
        return build_prompt(
            self._tokenizer,
            self._config,
            [image.pixels for image in ordered],
            indication=known.indication,
            comparison=known.comparison,
        )

    def read(self, report: Decoded) -> Review:
        """The report, read over."""
        return review(
            report, self._tokenizer, self._vocabulary, canonical=self._config.canonical, order=self._order
        )

    def again(self, prompt: Prompt, found: Review) -> tuple[Prompt, DecodeOptions] | None:
        """Decodes a doubtful report again from its first doubtful block on; one decoded token by token
        stays unchanged.
        """
        hasty = self._config.stage is not Stage.AR and self._options.steps < self._config.block_size
        doubtful = found.first_doubtful_token
        if doubtful is None or not hasty:
            return None
        kept = self._options.block_start(doubtful, len(prompt.input_ids))
        careful = dataclasses.replace(
            self._options,
            steps=self._config.block_size,
            threshold=_AGAIN_THRESHOLD,
            max_tokens=self._options.max_tokens - kept,
        )
        return dataclasses.replace(prompt, answer=found.report.tokens[:kept]), careful

    def better(self, first: Review, begun: Prompt, rest: Decoded) -> Review:
        """The better of the first reading and the one that ends in `rest`, with the forward passes of
        both.
        """
        second = self.read(_joined(first.report, len(begun.answer), rest, self._options))
        cost = first.report.forwards + rest.forwards
        better = min(first, second, key=lambda found: found.badness)
        return dataclasses.replace(better, report=dataclasses.replace(better.report, forwards=cost))


def _engine_for(checkpoint: Checkpoint, choice: DeviceChoice, slots: int, memory_fraction: float) -> Engine:
    """An engine with as many slots as fit into the memory."""
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
    return Engine(
        checkpoint.backbone,
        config,
        pad_id=tokenizer.pad_id,
        slots=room,
        longest_prompt=prompt_tokens,
    )


def _ordered(images: Sequence[Image], config: ModelConfig) -> list[Image]:
    """The images in the order used in training.

    The caller chooses the images of a study and reports the choice to the reader.
    Raises:
        PromptError for no image, or for two of one kind.
    """
    if not images:
        raise PromptError("a study needs at least one image")
    ordered = [images[index] for index in chosen_views([image.view for image in images], config)]
    if len(ordered) < len(images):
        raise PromptError("the model reads one frontal and one lateral image: choose before drafting")
    return ordered


def _joined(report: Decoded, kept: int, rest: Decoded, options: DecodeOptions) -> Decoded:
    """A report's first `kept` tokens, whole blocks, and the continuation that replaces what followed."""
    blocks = -(-kept // options.block_size)
    return dataclasses.replace(
        rest,
        tokens=report.tokens[:kept] + rest.tokens,
        confidences=report.confidences[:kept] + rest.confidences,
        block_confidences=report.block_confidences[:blocks] + rest.block_confidences,
    )


def _compose(found: Review, outcome: StudyOutcome) -> DraftText:
    sentences = {"findings": list[DraftSentence](), "impression": list[DraftSentence]()}
    for spoken, doubtful in zip(found.sentences, found.doubtful, strict=True):
        sentence = DraftSentence(text=spoken.text, confidence=spoken.confidence, doubtful=doubtful)
        sentences[spoken.section].append(sentence)
    return DraftText(
        findings_sentences=tuple(sentences["findings"]),
        impression_sentences=tuple(sentences["impression"]),
        text=found.text,
        findings=found.findings,
        language=found.language,
        flags=found.flags,
        tokens=found.report.length,
        forwards=found.report.forwards,
        blocks=found.report.blocks,
        seconds=outcome.seconds,
        repeated_blocks=outcome.repeated_blocks,
        repeat_forwards=outcome.repeat_forwards,
    )
