"""Distillation end to end on a toy: trajectories are what the decoder says, and the students learn them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from model.decode import DecodeOptions, decode_multistep
from model.prompt import build_prompt, collate_prompts
from model.train.config import DcdConfig, RolloutConfig, T3dConfig
from model.train.distill import DcdStage, T3dStage
from model.train.features import encode_studies
from model.train.optimizers import build_optimizers
from model.train.rollout import roll_out
from model.train.stages import Materials
from model.train.trajectories import StoredTrajectories, collect


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Progress that nobody watches."""


def _collected(materials: Materials, folder: Path) -> StoredTrajectories:
    collect(materials, RolloutConfig(examples=24, batch=8, top=4, legal_only=False), folder, report=_ignore)
    return StoredTrajectories.load(folder, 24)


def test_rollouts_say_what_the_plain_multistep_decoder_says(
    make_materials: Callable[[], Materials],
) -> None:
    """The batched recorder and the reference decoder commit the same tokens."""
    materials = make_materials()
    examples = [materials.examples[i] for i in (0, 1, 3)]
    config, collator = materials.config, materials.collator
    features = encode_studies(materials.backbone, collator, collator.pixels(examples))
    found = roll_out(
        materials.backbone,
        config,
        collator.prompts(examples),
        features.flatten(0, 1),
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
    """Each valid position has a step, its token is the teacher's most probable, and shares stay below 1."""
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
    batch = stage.batch(0)
    losses = []
    for _ in range(6):
        loss = stage.objective(batch, batch.size)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())

    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[-1] < losses[0]
    assert not any(p.requires_grad for p in materials.backbone.network.model.visual.parameters())
