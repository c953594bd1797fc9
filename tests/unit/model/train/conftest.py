"""A toy training set: noise images and canonical reports of what the image shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example
from model.train.loop import Machine
from model.train.parallel import Processes
from model.train.stages import Materials, Setting

REPORTS = (
    "Findings: No pneumothorax. Impression: Small left effusion.",
    "Findings: The heart is enlarged. Impression: No effusion.",
)


class ToyExamples:
    """Examples of one or two images; the report depends on the image's brightness."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(5)
        self._examples = [
            Example(
                id=f"toy-{number}",
                images=tuple(
                    rng.integers(0, 60, (56, 56), dtype=np.uint8) + np.uint8(190 * (number % 2))
                    for _ in range(1 + number % 3 // 2)
                ),
                views=("frontal", "lateral")[: 1 + number % 3 // 2],
                answer=REPORTS[number % 2],
            )
            for number in range(count)
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int, /) -> Example:
        return self._examples[index]

    def without_images(self, index: int) -> Example:
        return replace(self._examples[index], images=())

    def answer_length(self, index: int) -> int:
        return len(self._examples[index].answer)

    def finish_check(self) -> None:
        pass

    @property
    def undecodable(self) -> frozenset[int]:
        return frozenset()

    def skip_undecodable(self, places: Iterable[int]) -> None:
        pass

    def identity(self) -> str:
        return "toys"


@pytest.fixture
def alone(tmp_path: Path) -> Setting:
    """One process that keeps its visual tokens in memory."""
    return Setting(processes=Processes.join(), folder=tmp_path / "features")


@pytest.fixture
def machine() -> Machine:
    """One process with a clock that stands still."""
    return Machine(processes=Processes.join(), clock=lambda: 0.0)


@pytest.fixture
def make_materials(
    make_config: Callable[..., ModelConfig],
    make_backbone: Callable[[ModelConfig, int], Backbone],
    tokenizer: ReportTokenizer,
    alone: Setting,
) -> Callable[..., Materials]:
    """Return a maker of materials with the same weights every time, so that two runs can be compared."""

    def make(setting: Setting | None = None) -> Materials:
        config = make_config(block_size=4)
        return Materials(
            backbone=make_backbone(config, 1),
            config=config,
            tokenizer=tokenizer,
            examples=ToyExamples(24),
            validation=ToyExamples(4),
            seed=7,
            setting=setting or alone,
        )

    return make
