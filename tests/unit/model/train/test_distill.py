"""Distillation end to end on a toy: trajectories equal the decoder's output, and students learn them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.decode import DecodeOptions, decode_multistep
from model.network.backbone import Backbone
from model.network.config import PromptAttention
from model.network.prompt import build_prompt, collate_prompts
from model.train.config import DcdConfig, RolloutConfig, T3dConfig
from model.train.distill import DcdStage, T3dStage
from model.train.features import encode_studies, image_sizes
from model.train.loop import Batch
from model.train.optimizers import build_optimizers
from model.train.rollout import roll_out
from model.train.stages import Materials
from model.train.trajectories import StoredTrajectories, collect


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Ignore progress."""


def _collected(materials: Materials, folder: Path) -> StoredTrajectories:
    collect(materials, RolloutConfig(examples=24, batch=8, top=4, legal_only=False), folder, report=_ignore)
    return StoredTrajectories.load(folder, 24)


@pytest.mark.parametrize("attention", list(PromptAttention))
def test_rollouts_say_what_the_plain_multistep_decoder_says(
    make_materials: Callable[[], Materials], attention: PromptAttention
) -> None:
    """The batched recorder and the reference decoder commit the same tokens under both kinds of attention."""
    materials = make_materials()
    examples = [materials.examples[i] for i in (0, 1, 3)]
    config, collator = replace(materials.config, prompt_attention=attention), materials.collator
    images = [collator.images(example) for example in examples]
    found = roll_out(
        materials.backbone,
        config,
        collator.prompts(examples, image_sizes(images)),
        torch.cat(encode_studies(materials.backbone, collator, images)),
        threshold=0.6,
        max_tokens=config.max_tokens,
    )
    prompts = [build_prompt(materials.tokenizer, config, example.images) for example in examples]
    reference = decode_multistep(
        materials.backbone,
        collate_prompts(prompts, config, materials.tokenizer.pad_id),
        DecodeOptions.of(config, steps=config.block_size, threshold=0.6),
    )

    for row, report in enumerate(reference):
        assert list(report.tokens) == found.tokens[row, : len(report.tokens)].tolist()


def test_a_trajectory_keeps_every_commit(make_materials: Callable[[], Materials], tmp_path: Path) -> None:
    """Each valid position has a step, its token is the teacher's first choice, shares sum to at most 1."""
    materials = make_materials()
    eos = materials.config.eos_token_id
    trajectories = _collected(materials, tmp_path)
    answers = trajectories.answers()
    rows = trajectories.rows([0, 5], 40)

    assert len(answers) == 24
    assert all(len(answer) % 4 == 0 for answer in answers)
    for row, index in enumerate((0, 5)):
        length = len(answers[index])
        assert bool((rows["steps"][row, :length] >= 1).all())
        assert bool((rows["top_probabilities"][row, :length].sum(dim=1) <= 1.0001).all())
        said = [token for token in answers[index] if token != eos]
        assert said == rows["top_ids"][row, : len(said), 0].tolist()


def _student(materials: Materials) -> Backbone:
    """Return another network of the same shape, with other output."""
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in materials.backbone.network.lm_head.parameters():
            weight.add_(torch.randn_like(weight) * 0.5)
    return materials.backbone


def test_a_students_drafts_stand_beside_the_teachers_blocks(make_materials: Callable[[], Materials]) -> None:
    """They are its one-step output for each block; the path stays the teacher's until the student leads."""
    materials, student = make_materials(), _student(make_materials())
    config, collator = materials.config, materials.collator
    examples = [materials.examples[i] for i in (0, 1, 3)]
    seen = [collator.images(example) for example in examples]
    prompts = collator.prompts(examples, image_sizes(seen))
    features = torch.cat(encode_studies(materials.backbone, collator, seen))
    common = {"threshold": 0.6, "top": 4, "max_tokens": config.max_tokens}

    own = roll_out(materials.backbone, config, prompts, features, **common)
    beside = roll_out(materials.backbone, config, prompts, features, student=student, **common)
    led = roll_out(materials.backbone, config, prompts, features, student=student, lead=1e3, **common)
    alone = roll_out(student, config, prompts, features, most_steps=1, **common)

    assert torch.equal(own.drafts, own.tokens)
    assert torch.equal(beside.tokens, own.tokens)
    assert torch.equal(beside.drafts[:, :4], alone.tokens[:, :4])
    assert not torch.equal(beside.drafts[:, :4], own.tokens[:, :4])
    assert torch.equal(led.tokens[:, :4], alone.tokens[:, :4])  # after them the teacher's path differs


def test_broken_drafts_are_kept_and_drawn_more_often(
    make_materials: Callable[[], Materials], tmp_path: Path
) -> None:
    """If a draft makes a legal report, it is replaced by the teacher's own blocks."""
    materials, student = make_materials(), _student(make_materials())
    settings = RolloutConfig(examples=24, batch=8, top=4, legal_only=False)
    summary = collect(materials, settings, tmp_path, report=_ignore, student=student)
    trajectories = StoredTrajectories.load(tmp_path, 24)
    answers = trajectories.answers()
    drafts = trajectories.rows(list(range(24)), 80)["drafts"]
    broken = [i for i, said in enumerate(answers) if drafts[i, : len(said)].tolist() != said]

    assert len(broken) == round(24 * (1 - summary["legal_drafts"])) > 0
    assert bool(trajectories.unsure(0.0)[broken].all())
    assert not bool(trajectories.unsure(0.0)[[i for i in range(24) if i not in broken]].any())


def test_a_broken_draft_is_the_context_and_the_teachers_choice_the_target(
    make_materials: Callable[[], Materials], tmp_path: Path
) -> None:
    """A block's loss depends on the drafts before it, not its own; a choice's weight hardens the target."""
    materials = make_materials()
    trajectories = _collected(materials, tmp_path)
    settings = DcdConfig(steps=1, batch=4, rate=1e-3, validation_examples=2, choice_weight=1.0, eos_weight=0)
    stage = DcdStage(materials, settings, trajectories)
    batch = stage.batch(0, range(4))
    first, last = batch.rows["drafts"].clone(), batch.rows["drafts"].clone()
    first[:, 0] = (first[:, 0] + 1) % 50
    last[:, -1] = (last[:, -1] + 1) % 50

    def loss(**changed: Tensor) -> float:
        rows = {**batch.rows, **changed}
        return float(stage.objective(Batch(rows=rows, shared=batch.shared, total=batch.total)).detach())

    only = torch.zeros_like(batch.rows["top_probabilities"])
    only[..., 0] = 1.0

    assert loss(drafts=first) != loss()
    assert loss(drafts=last) == loss()
    assert loss(top_probabilities=only) == loss()


def test_studies_that_split_the_teacher_are_drawn_more_often(
    make_materials: Callable[[], Materials], tmp_path: Path
) -> None:
    """In an epoch, a study that left the teacher unsure is drawn as often as configured, any other once."""
    materials = make_materials()
    trajectories = _collected(materials, tmp_path)
    shares = trajectories.rows(list(range(24)), 80)["top_probabilities"][..., 0]
    surest = torch.where(shares > 0, shares, 1.0).amin(dim=1)
    below = float(surest.median())
    config = DcdConfig(steps=1, batch=1, rate=1e-3, unsure_draws=3, unsure_below=below)

    stage = DcdStage(materials, config, trajectories)
    unsure = {i for i in range(24) if surest[i] < below}
    drawn = Counter(stage.indices(step)[0] for step in range(24 + 2 * len(unsure)))

    assert 0 < len(unsure) < 24
    assert {i: 3 if i in unsure else 1 for i in range(24)} == drawn


@pytest.mark.parametrize("kind", ["dcd", "dcd-reverse", "t3d"])
def test_students_learn_from_the_trajectories(
    make_materials: Callable[[], Materials], tmp_path: Path, kind: str
) -> None:
    """A few steps on one batch lower its loss."""
    materials = make_materials()
    trajectories = _collected(materials, tmp_path)
    stage: DcdStage | T3dStage
    if kind == "t3d":
        settings = T3dConfig(steps=1, batch=4, rate=2e-3, validation_examples=2)
        stage = T3dStage(materials, settings, trajectories)
    else:
        direction = DcdConfig(
            steps=1,
            batch=4,
            rate=2e-3,
            validation_examples=2,
            divergence="reverse" if kind == "dcd-reverse" else "forward",
        )
        stage = DcdStage(materials, direction, trajectories)
    optimizers = build_optimizers(stage.objective, DcdConfig(steps=1, batch=4, rate=1e-4))
    batch = stage.batch(0, range(4))
    losses = []
    for _ in range(6):
        loss = stage.objective(batch)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())

    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[-1] < losses[0]
    assert not any(p.requires_grad for p in materials.backbone.network.model.visual.parameters())
