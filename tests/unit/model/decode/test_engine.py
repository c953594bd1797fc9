"""The engine compared with the plain decoder: token for token, in any batch, order and slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from model.decode import (
    Decoded,
    DecodeOptions,
    Decoder,
    decode_autoregressive,
    decode_fused,
    decode_onestep,
)
from model.decode.engine import Engine
from model.decode.slots import Slots
from model.decode.steps import Method
from model.errors import DecodingError, OutOfMemoryError
from model.network.backbone import Backbone
from model.network.config import BlockAnchor, ModelConfig, PromptAttention, Stage
from model.network.prompt import Prompt, build_prompt, collate_prompts
from model.network.tokenizer import ReportTokenizer

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]


@pytest.fixture
def make_studies(tokenizer: ReportTokenizer) -> Callable[..., list[Prompt]]:
    """Noise studies with one or two images and prompts of different lengths."""

    def make(config: ModelConfig, count: int, seed: int = 0) -> list[Prompt]:
        rng = np.random.default_rng(seed)
        return [
            build_prompt(
                tokenizer,
                config,
                [rng.integers(0, 256, (40, 40), np.uint8) for _ in range(1 + number % 2)],
                indication="cough " * (number % 3),
            )
            for number in range(count)
        ]

    return make


def an_engine(backbone: Backbone, config: ModelConfig, tokenizer: ReportTokenizer, **fields: Any) -> Engine:
    return Engine(backbone, config, pad_id=tokenizer.pad_id, **{"slots": 3, "longest_prompt": 120, **fields})


def alone(
    backbone: Backbone, config: ModelConfig, pad: int, prompt: Prompt, options: DecodeOptions
) -> Decoded:
    (decoded,) = decode_fused(backbone, collate_prompts([prompt], config, pad), options)
    return decoded


def facts(report: Decoded) -> tuple[Any, ...]:
    return report.tokens, report.stopped, report.forwards, report.blocks


def ending(config: ModelConfig, backbone: Backbone, pad: int, prompts: list[Prompt]) -> ModelConfig:
    """A configuration whose end token, their most common one, ends some reports early and some late."""
    options = DecodeOptions.of(config)
    tokens = [t for p in prompts for t in alone(backbone, config, pad, p, options).tokens[5:]]
    return replace(config, eos_token_id=max(set(tokens), key=tokens.count))


def all_alone(backbone: Backbone, config: ModelConfig, pad: int, prompts: list[Prompt]) -> list[Any]:
    options = DecodeOptions.of(config)
    return [facts(alone(backbone, config, pad, prompt, options)) for prompt in prompts]


@pytest.mark.parametrize("slots", [1, 3, 5])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(
    ("anchor", "attention"),
    [
        (BlockAnchor.RESPONSE, PromptAttention.CAUSAL),
        (BlockAnchor.SEQUENCE, PromptAttention.BLOCK),
    ],
)
def test_engine_equals_the_plain_decoder(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    slots: int,
    steps: int,
    anchor: BlockAnchor,
    attention: PromptAttention,
) -> None:
    """Reports that end at different times free their slots for others, in any order of arrival."""
    config = make_config(
        block_size=4, block_anchor=anchor, prompt_attention=attention, denoising_steps=steps, max_tokens=30
    )
    backbone, prompts = make_backbone(config, 23), make_studies(config, 8)
    config = ending(config, backbone, tokenizer.pad_id, prompts)
    expected = all_alone(backbone, config, tokenizer.pad_id, prompts)
    assert len({length for *_, length in expected}) > 1

    engine = an_engine(backbone, config, tokenizer, slots=slots)
    assert [facts(r) for r in engine.decode(prompts)] == expected
    assert [facts(r) for r in engine.decode(prompts[::-1])] == expected[::-1]


@pytest.mark.parametrize(
    ("method", "decoder"),
    [
        (Method.AUTOREGRESSIVE, decode_autoregressive),
        (Method.UNFUSED, decode_onestep),
        (Method.FUSED_APART, decode_fused),
    ],
)
def test_other_methods_equal_their_plain_decoders(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    method: Method,
    decoder: Decoder,
) -> None:
    """Token by token, in two forwards or with a separate prefill: same tokens, and the expected forwards."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=22)
    backbone, prompts = make_backbone(config, 23), make_studies(config, 4)
    config = ending(config, backbone, tokenizer.pad_id, prompts)
    backbone.prepare_for_inference()
    options = DecodeOptions.of(config)
    expected = []
    for prompt in prompts:
        (one,) = decoder(backbone, collate_prompts([prompt], config, tokenizer.pad_id), options)
        expected.append((one.tokens, one.stopped, one.forwards + (method is Method.FUSED_APART), one.blocks))
    engine = an_engine(backbone, config, tokenizer, method=method)
    assert [facts(report) for report in engine.decode(prompts)] == expected


@pytest.mark.parametrize(
    ("stage", "method"),
    [
        (Stage.AR, Method.AUTOREGRESSIVE),
        (Stage.BASE, Method.FUSED),
        (Stage.T3D, Method.FUSED),
        (Stage.ECHO, Method.FUSED),
    ],
)
def test_choice_of_method_follows_the_stage(stage: Stage, method: Method) -> None:
    """A checkpoint without masks is decoded token by token; every other one is fused."""
    assert Method.of(stage) is method


@pytest.mark.parametrize("seed", [0, 1])
def test_order_of_arrival_changes_no_token(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    seed: int,
) -> None:
    """Studies arrive at random times, in random order and in any slot: each keeps its own report."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=24)
    backbone, prompts = make_backbone(config, 23), make_studies(config, 9)
    config = ending(config, backbone, tokenizer.pad_id, prompts)
    backbone.prepare_for_inference()
    expected = all_alone(backbone, config, tokenizer.pad_id, prompts)

    rng = np.random.default_rng(seed)
    engine = an_engine(backbone, config, tokenizer, slots=int(rng.integers(2, 5)))
    coming = [int(row) for row in rng.permutation(len(prompts))]
    rows: dict[int, int] = {}
    reports: dict[int, Decoded] = {}
    while coming or engine.busy:
        for _ in range(min(len(coming), int(rng.integers(0, 3)))):
            row = coming.pop()
            rows[engine.submit(prompts[row])] = row
        reports |= {rows[ticket]: report for ticket, report in engine.advance()}
    assert [facts(reports[row]) for row in range(len(prompts))] == expected


def tensors_in(values: Any) -> list[torch.Tensor]:
    """The tensors of an operation's arguments or results; matrices in oneDNN's order have no storage."""
    flat = values if isinstance(values, tuple | list) else [values]
    nested = [one for value in flat for one in (value if isinstance(value, tuple | list) else [value])]
    return [one for one in nested if isinstance(one, torch.Tensor) and one.layout is torch.strided]


class Watch(TorchDispatchMode):
    """Records each operation with the size of its new outputs, and those that make the host wait."""

    waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, int]] = []
        self.waited: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        known = {one.untyped_storage().data_ptr() for one in tensors_in(args)}
        fresh = [one.numel() for one in tensors_in(result) if one.untyped_storage().data_ptr() not in known]
        self.made.append((name, sum(fresh)))
        if name.startswith(self.waits):
            self.waited.append(name)
        return result


@pytest.mark.parametrize("method", list(Method))
def test_step_neither_waits_nor_grows(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    method: Method,
) -> None:
    """Block 40 has the operations and memory of block 2; the host reads no value; the cache does not move."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=180)
    config = replace(config, eos_token_id=config.shape.image_token_id)  # which is never chosen
    backbone, prompts = make_backbone(config, 23), make_studies(config, 2)
    backbone.prepare_for_inference()
    engine = an_engine(backbone, config, tokenizer, slots=2, method=method)
    for prompt in prompts:
        engine.submit(prompt)
    engine.admit()
    cache = engine._cache
    places = cache.keys.data_ptr(), cache.values.data_ptr()
    watches = []
    for _ in range(42):
        with torch.inference_mode(), Watch() as watch:
            engine._step()
        watches.append(watch)
    assert watches[39].made == watches[1].made
    assert [watch.waited for watch in watches] == [[]] * 42
    assert (cache.keys.data_ptr(), cache.values.data_ptr()) == places
    one_layer = cache.keys[0].numel()
    copies = [(name, size) for name, size in watches[39].made if size >= one_layer]
    assert copies == []


def test_reports_of_one_batch_follow_their_own_rules(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """One step, several steps, a threshold, a short limit and a continuation, in one batch."""
    config = make_config(block_size=8, denoising_steps=1, max_tokens=32)
    backbone, prompts = make_backbone(config, 29), make_studies(config, 5)
    one = DecodeOptions.of(config)
    begun = alone(backbone, config, tokenizer.pad_id, prompts[4], one).tokens[:16]
    prompts[4] = replace(prompts[4], answer=begun)
    rules = [
        one,
        DecodeOptions.of(config, steps=8),
        DecodeOptions.of(config, steps=8, threshold=0.3),
        replace(one, max_tokens=11),
        replace(one, max_tokens=16, steps=2),
    ]
    engine = an_engine(backbone, config, tokenizer, slots=5)
    tickets = [engine.submit(prompt, rule) for prompt, rule in zip(prompts, rules, strict=True)]
    reports: dict[int, Decoded] = {}
    while engine.busy:
        reports |= dict(engine.advance())
    for ticket, prompt, rule in zip(tickets, prompts, rules, strict=True):
        assert facts(reports[ticket]) == facts(alone(backbone, config, tokenizer.pad_id, prompt, rule))
    steps = {ticket: reports[ticket].forwards / reports[ticket].blocks for ticket in tickets}
    assert [steps[t] for t in (tickets[0], tickets[1], tickets[3], tickets[4])] == [1, 8, 1, 2]


def test_report_can_enter_while_others_are_in_decoding(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """A study that arrives late does not change other reports' tokens and waits for none of them."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=24)
    backbone, prompts = make_backbone(config, 31), make_studies(config, 2)
    expected = all_alone(backbone, config, tokenizer.pad_id, prompts)
    engine = an_engine(backbone, config, tokenizer, slots=2)
    first = engine.submit(prompts[0])
    for _ in range(3):
        assert engine.advance() == []
    second = engine.submit(prompts[1])
    finished = [ticket for _ in range(20) for ticket, _ in [*engine.advance()]]
    assert finished == [first, second]
    engine = an_engine(backbone, config, tokenizer, slots=2)
    assert [facts(r) for r in engine.decode(prompts)] == expected


@pytest.mark.parametrize("yields", [True, False])
def test_urgent_report_takes_the_slot_of_one_that_yields(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    yields: bool,
) -> None:
    """It is decoded first; the report that lost its slot starts again and its tokens are unchanged."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=24)
    backbone, prompts = make_backbone(config, 31), make_studies(config, 3)
    expected = all_alone(backbone, config, tokenizer.pad_id, prompts)
    engine = an_engine(backbone, config, tokenizer, slots=1)
    old = [engine.submit(prompt, rank=3, yields=yields) for prompt in prompts[:2]]
    for _ in range(3):
        assert engine.advance() == []
    urgent = engine.submit(prompts[2])
    reports: dict[int, Decoded] = {}
    while engine.busy:
        reports |= dict(engine.advance())
    assert list(reports) == [urgent, *old] if yields else [old[0], urgent, old[1]]
    assert [facts(reports[ticket]) for ticket in (*old, urgent)] == expected


def test_report_that_yields_keeps_its_slot_while_another_is_free(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """Of two that yield, the last one started gives up its slot, and only as many yield as are needed."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=24)
    backbone, prompts = make_backbone(config, 31), make_studies(config, 4)
    engine = an_engine(backbone, config, tokenizer, slots=3)
    first = engine.submit(prompts[0], rank=3, yields=True)
    engine.advance()
    second = engine.submit(prompts[1], rank=3, yields=True)
    engine.advance()
    urgent = [engine.submit(prompt) for prompt in prompts[2:]]
    finished: list[int] = []
    while engine.busy:
        finished += [ticket for ticket, _report in engine.advance()]
    assert finished == [first, *urgent, second]


class Exhausted(Backbone):
    """A network whose device runs out of memory with more than `fits` reports in one forward."""

    fits = 1

    def hidden(self, embeds: torch.Tensor, *rest: Any) -> torch.Tensor:
        if embeds.shape[0] > self.fits:
            raise torch.OutOfMemoryError("fake")
        return super().hidden(embeds, *rest)


def test_memory_that_runs_out_halves_the_slots_and_loses_nothing(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """Every report is still decoded."""
    config = make_config(block_size=4, denoising_steps=1, max_tokens=16)
    backbone, prompts = make_backbone(config, 37), make_studies(config, 6)
    expected = all_alone(backbone, config, tokenizer.pad_id, prompts)
    tight = Exhausted(backbone.network)
    engine = an_engine(tight, config, tokenizer, slots=4)
    assert [facts(r) for r in engine.decode(prompts)] == expected
    assert engine.slots == 1


def test_memory_for_not_even_one_report_is_an_error(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """The error is the package's own and retryable."""
    config = make_config(denoising_steps=1)
    tight = Exhausted(make_backbone(config, 1).network)
    tight.fits = 0
    with pytest.raises(OutOfMemoryError, match="does not hold one report") as caught:
        an_engine(tight, config, tokenizer).decode(make_studies(config, 1))
    assert caught.value.retryable


def test_prompt_without_room_is_refused(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
) -> None:
    """A slot's room is fixed; a prompt that does not fit is refused before it is decoded."""
    config = make_config()
    engine = an_engine(make_backbone(config, 1), config, tokenizer, longest_prompt=10)
    with pytest.raises(DecodingError, match="do not fit into a slot of 10 and 40"):
        engine.submit(make_studies(config, 1)[0])


def test_captured_steps_are_few_and_change_nothing(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_studies: Callable[..., list[Prompt]],
    tokenizer: ReportTokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step is captured once per power of two of slots, or for all of them; replays give the same tokens."""
    widths: list[int] = []

    def record(forward: Callable[[], None], state: Slots) -> Callable[[], None]:
        widths.append(len(state.running))
        return forward

    monkeypatch.setattr("model.decode.engine.capture", record)
    config = make_config(block_size=4, denoising_steps=1, max_tokens=16)
    backbone, prompts = make_backbone(config, 43), make_studies(config, 7)
    expected = an_engine(backbone, config, tokenizer, slots=6).decode(prompts)
    assert an_engine(backbone, config, tokenizer, slots=6, graphs=True).decode(prompts) == expected
    assert sorted(widths) == [1, 6]
