"""The reporter with a scripted decoder: what it requests, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.decode import Decoded, DecodeOptions
from model.drafts.draft import FlagCode
from model.drafts.study import ReportContext, Study, StudyList, View
from model.errors import CheckpointError, PromptError
from model.network.backbone import Backbone
from model.network.checkpoint import Checkpoint, save_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.device import select_device
from model.network.prompt import Prompt, PromptBatch, collate_prompts
from model.network.tokenizer import ReportTokenizer, train_tokenizer
from model.reporting.reporter import Reporter, ReporterImage

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]

FIRST = "Findings: Moderate left pleural effusion. No pneumothorax."
LAST = " Impression: Moderate left pleural effusion."
TOKENIZER = train_tokenizer([FIRST + LAST, " right"] * 3)


class Script:
    """Stands in for a decoder: answers with prepared texts and records what was requested."""

    def __init__(self, *texts: str, low: float = 0.95, stopped: bool = True) -> None:
        self.texts = list(texts)
        self.low, self.stopped = low, stopped
        self.asked: list[tuple[PromptBatch, DecodeOptions]] = []

    def __call__(self, _backbone: Backbone, prompts: PromptBatch, options: DecodeOptions, **_: Any) -> Any:
        self.asked.append((prompts, options))
        return tuple(self._report(self.texts.pop(0), options) for _ in prompts.input_ids)

    def _report(self, text: str, options: DecodeOptions) -> Decoded:
        tokens = TOKENIZER.encode(text)
        blocks = -(-(len(tokens) + self.stopped) // options.block_size)
        return Decoded(
            tokens=tuple(tokens),
            confidences=(self.low,) * len(tokens),
            block_confidences=(self.low,) * blocks,
            stopped=self.stopped,
            forwards=blocks * options.steps,
        )


class ScriptQueue:
    """Stands in for a queue, with a script: two prompts with the same options at a time."""

    slots = 2

    def __init__(self, script: Script, backbone: Backbone, config: ModelConfig) -> None:
        self._script, self._backbone, self._config = script, backbone, config
        self._waiting: list[tuple[int, Prompt, DecodeOptions]] = []
        self._tickets = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(
        self, prompt: Prompt, options: DecodeOptions | None = None, *, rank: int = 0, yields: bool = False
    ) -> int:
        self._tickets += 1
        self._waiting.append((self._tickets, prompt, options or DecodeOptions.of(self._config)))
        return self._tickets

    def clear(self) -> None:
        self._waiting.clear()

    def advance(self) -> list[tuple[int, Any]]:
        rule = self._waiting[0][2]
        batch = [entry for entry in self._waiting[: self.slots] if entry[2] == rule]
        self._waiting = [entry for entry in self._waiting if entry not in batch]
        prompts = collate_prompts([prompt for _, prompt, _ in batch], self._config, TOKENIZER.pad_id)
        reports = self._script(self._backbone, prompts, rule)
        return [(ticket, decoded) for (ticket, _, _), decoded in zip(batch, reports, strict=True)]


@pytest.fixture
def make_reporter(make_config: Make, make_backbone: MakeBackbone) -> Callable[..., Reporter]:
    """Return a function that makes a reporter whose decoder is the given script."""

    def make(script: Script, **fields: Any) -> Reporter:
        config = make_config(denoising_steps=1, max_tokens=64, name="scripted", version="7", **fields)
        checkpoint = Checkpoint(
            backbone=make_backbone(config, 1), config=config, tokenizer=TOKENIZER, weights_sha256="ab" * 32
        )
        queue = ScriptQueue(script, checkpoint.backbone, config)
        ticks = iter(range(100))
        return Reporter(checkpoint, select_device("cpu"), queue, clock=lambda: float(next(ticks)))

    return make


def study(*views: View) -> list[ReporterImage]:
    shades = {"frontal": 50, "lateral": 100, "unknown": 150}
    return [ReporterImage(pixels=np.full((30, 30), shades[view], np.uint8), view=view) for view in views]


def codes(flags: Sequence[Any]) -> list[str]:
    return [flag.code for flag in flags]


def test_sound_draft_is_decoded_once_and_carries_no_flag(make_reporter: Callable[..., Reporter]) -> None:
    """Text, sentences, findings and counts are the decoder's."""
    script = Script(FIRST + LAST)
    draft = make_reporter(script).draft(study("frontal", "lateral"), ReportContext(indication="cough"))
    assert draft.text == FIRST + LAST
    assert [s.text for s in draft.findings_sentences] == [
        "Moderate left pleural effusion.",
        "No pneumothorax.",
    ]
    assert [(s.text, s.confidence, s.doubtful) for s in draft.impression_sentences] == [
        ("Moderate left pleural effusion.", 0.95, False)
    ]
    stated = {f.concept: f.presence.value for f in draft.findings}
    assert stated == {"pleural_effusion": "present", "pneumothorax": "absent"}
    length = len(TOKENIZER.encode(FIRST + LAST)) + 1
    assert (draft.tokens, draft.blocks, draft.forwards) == (length, -(-length // 8), -(-length // 8))
    assert draft.flags == ()
    assert draft.seconds == 1.0
    assert len(script.asked) == 1


def test_doubtful_report_is_decoded_again_from_its_first_doubtful_block(
    make_reporter: Callable[..., Reporter],
) -> None:
    """The sound blocks before it are kept, the rest is decoded in several steps, and both are counted."""
    broken = FIRST + " Impression: Moderate left left effusion."
    kept = len(TOKENIZER.encode(broken.split(" Impression")[0])) + 2  # tokens before the broken sentence
    kept = kept // 8 * 8
    tokens = TOKENIZER.encode(FIRST + LAST)
    script = Script(broken, TOKENIZER.decode(tokens[kept:]))
    draft = make_reporter(script).draft(study("frontal", "lateral"))
    (_, first_options), (again, options) = script.asked
    assert draft.text == FIRST + LAST
    assert draft.flags == ()
    assert (first_options.steps, options.steps, options.threshold) == (1, 8, 0.9)
    assert options.max_tokens == 64 - kept
    assert again.answered.tolist() == [kept]
    assert again.input_ids[0, -kept:].tolist() == tokens[:kept]
    once, twice = -(-(len(TOKENIZER.encode(broken)) + 1) // 8), 8 * -(-(len(tokens) - kept + 1) // 8)
    assert draft.forwards == once + twice
    assert (draft.tokens, draft.blocks) == (len(tokens) + 1, -(-(len(tokens) + 1) // 8))


def test_what_stays_broken_is_flagged(make_reporter: Callable[..., Reporter]) -> None:
    """The better of the two readings is kept; its broken sentence is quoted with the problem."""
    broken = "Findings: Moderate left left pleural effusion. No pneumothorax."
    draft = make_reporter(Script(broken, "Findings: left left. right right.")).draft(
        study("frontal", "lateral")
    )
    assert draft.text == broken
    assert codes(draft.flags) == [FlagCode.GARBLED]
    assert "“Moderate left left pleural effusion.” (it repeats “left”)" in draft.flags[0].text
    assert [s.doubtful for s in draft.findings_sentences] == [True, False]


def test_contradiction_is_flagged(make_reporter: Callable[..., Reporter]) -> None:
    """Both sentences of a contradiction are doubtful."""
    text = "Findings: No pneumothorax. Moderate left pneumothorax."
    draft = make_reporter(Script(text, text), canonical=False).draft(study("frontal", "lateral"))
    assert codes(draft.flags) == [FlagCode.CONTRADICTION]
    assert [s.doubtful for s in draft.findings_sentences] == [True, True]


def test_low_confidence_and_an_open_end_are_flagged(make_reporter: Callable[..., Reporter]) -> None:
    """A sentence with a confidence below one half is flagged, and so is a report without its end token."""
    script = Script(FIRST, FIRST, low=0.3, stopped=False)
    draft = make_reporter(script).draft(study("frontal", "lateral"))
    assert codes(draft.flags) == [FlagCode.LOW_CONFIDENCE, FlagCode.TRUNCATED]
    assert all(s.doubtful for s in draft.findings_sentences)


def test_silence_is_flagged(make_reporter: Callable[..., Reporter]) -> None:
    """An empty report does not mean a normal study."""
    draft = make_reporter(Script("", "")).draft(study("frontal", "lateral"))
    assert codes(draft.flags) == [FlagCode.GARBLED]
    assert (draft.text, draft.findings) == ("", ())


def test_careful_checkpoints_are_not_decoded_again(make_reporter: Callable[..., Reporter]) -> None:
    """A first decoding that was already token by token cannot be improved."""
    script = Script("Findings: left left.")
    make_reporter(script, stage=Stage.AR).draft(study("frontal", "lateral"))
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("views", "seen"),
    [
        (["lateral", "frontal"], [50, 100]),
        (["frontal"], [50]),
        (["lateral"], [100]),
        (["unknown", "lateral"], [150, 100]),
        (["unknown"], [150]),
    ],
)
def test_one_frontal_and_one_lateral_image_are_read(
    make_reporter: Callable[..., Reporter], views: list[View], seen: list[int]
) -> None:
    """The frontal image comes first; any remark on the views is left to the caller."""
    script = Script(FIRST + LAST)
    draft = make_reporter(script).draft(study(*views))
    batch = script.asked[0][0]
    patches = len(batch.pixel_values) // len(batch.grid_thw)
    shades = [batch.pixel_values[i * patches, 0].item() for i in range(len(batch.grid_thw))]
    expected = [(shade / 255 - 0.48145466) / 0.26862954 for shade in seen]
    assert shades == pytest.approx(expected, abs=1e-5)
    assert draft.flags == ()


@pytest.mark.parametrize(
    "views", [["frontal", "frontal"], ["lateral", "lateral"], ["unknown", "frontal"], ["unknown", "unknown"]]
)
def test_two_images_of_one_kind_are_refused(
    make_reporter: Callable[..., Reporter], views: list[View]
) -> None:
    """The caller chooses the image, so that what it tells the reader is true."""
    with pytest.raises(PromptError, match="choose before drafting"):
        make_reporter(Script()).draft(study(*views))


@pytest.mark.parametrize(("reads", "words"), [(True, "Indication: cough"), (False, "the impression.\n")])
def test_context_goes_to_models_that_read_it(
    make_reporter: Callable[..., Reporter], reads: bool, words: str
) -> None:
    """A model that was trained without indications is not given one."""
    script = Script(FIRST + LAST)
    make_reporter(script, reads_context=reads).draft(study("frontal"), ReportContext(indication="cough"))
    prompt = TOKENIZER.decode(script.asked[0][0].input_ids[0].tolist())
    assert words in prompt
    assert ("cough" in prompt) == reads


def test_study_without_images_is_refused(make_reporter: Callable[..., Reporter]) -> None:
    """A study needs at least one image."""
    with pytest.raises(PromptError, match="at least one image"):
        make_reporter(Script()).draft([])


def test_failure_leaves_nothing_behind_for_the_next_draft(make_reporter: Callable[..., Reporter]) -> None:
    """After an error in the middle of a batch, the next study gets its own report."""
    script = Script(FIRST, FIRST + LAST)
    reporter = make_reporter(script)
    with pytest.raises(IndexError):  # the script has too few texts for three studies
        reporter.draft_many([(study("frontal", "lateral"), ReportContext())] * 3)
    script.texts = [FIRST + LAST]
    assert reporter.draft(study("frontal", "lateral")).text == FIRST + LAST


def test_identity_names_the_checkpoint(make_reporter: Callable[..., Reporter]) -> None:
    """The identity is what the reports will name as their author."""
    identity = make_reporter(Script()).identity
    assert (identity.name, identity.version, identity.weights_sha256) == ("scripted", "7", "ab" * 32)
    assert (identity.block_size, identity.stage, identity.demonstration) == (8, Stage.ECHO, True)


@pytest.mark.parametrize("stage", [Stage.ECHO, Stage.AR])
def test_many_drafts_are_those_of_each_alone(
    tmp_path: Path, make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer, stage: Stage
) -> None:
    """A loaded random network drafts several studies, in order, as it drafts each alone; pixels matter."""
    config = make_config(denoising_steps=1, max_tokens=24, stage=stage)
    save_checkpoint(tmp_path, make_backbone(config, 3), config, tokenizer)
    reporter = Reporter.load(tmp_path, "cpu", slots=3)
    rng = np.random.default_rng(0)
    studies = [
        (
            [
                ReporterImage(pixels=rng.integers(0, 256, (60, 60), np.uint8), view=view)
                for view in (["frontal", "lateral"] if number % 2 else ["frontal"])
            ],
            ReportContext(),
        )
        for number in range(5)
    ]
    together = reporter.draft_many(studies)
    alone = [reporter.draft(images, context) for images, context in studies]
    assert [(d.text, d.tokens, d.forwards) for d in alone] == [
        (d.text, d.tokens, d.forwards) for d in together
    ]
    assert len({d.text for d in together}) == 5
    assert not torch.is_inference_mode_enabled()


def test_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    """The error names what is missing."""
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        Reporter.load(tmp_path, "cpu")


def test_stream_gives_each_draft_under_its_key(make_reporter: Callable[..., Reporter]) -> None:
    """Each draft has its own text; a study without images comes back with its error."""
    source = StudyList(
        [
            Study(key="both", images=study("frontal", "lateral")),
            Study(key="none", images=[]),
            Study(key="one", images=study("frontal"), context=ReportContext(indication="cough")),
        ]
    )
    drafts = dict(make_reporter(Script(FIRST + LAST, FIRST)).draft_stream(source, ahead=0))
    assert isinstance(drafts["none"], PromptError)
    assert drafts["both"].text == FIRST + LAST
    assert drafts["one"].text == FIRST


def test_repeated_blocks_and_their_cost_stand_in_the_draft(make_reporter: Callable[..., Reporter]) -> None:
    """They are given so that their rate can be counted."""
    draft = make_reporter(Script("Findings: left left.", FIRST + LAST)).draft(study("frontal", "lateral"))
    blocks = -(-(len(TOKENIZER.encode(FIRST + LAST)) + 1) // 8)
    assert (draft.repeated_blocks, draft.repeat_forwards) == (blocks, 8 * blocks)
    assert draft.forwards > draft.repeat_forwards
