"""The commit rule that decoders, engine and rollouts share."""

from __future__ import annotations

import pytest
import torch

from model.decode.commit import accept, choose


@pytest.mark.parametrize(
    ("settled", "commits", "threshold", "expected"),
    [
        ([False] * 4, 1, 2.0, [False, True, False, False]),
        ([False] * 4, 1, 0.6, [False, True, True, False]),
        ([False] * 4, 3, 2.0, [True, True, True, False]),
        ([False, True, False, False], 1, 2.0, [False, False, True, False]),
        ([True, True, True, False], 4, 0.0, [False, False, False, True]),
        ([True] * 4, 1, 0.0, [False] * 4),
    ],
)
def test_step_commits_the_surest_and_what_is_sure_enough(
    settled: list[bool], commits: int, threshold: float, expected: list[bool]
) -> None:
    """At least a given number, the most confident first; a settled position is never committed again."""
    confidence = torch.tensor([[0.5, 0.9, 0.7, 0.1]])
    assert [expected] == accept(confidence, torch.tensor([settled]), commits, threshold).tolist()


def test_equals_are_committed_from_the_left() -> None:
    """The order of two equally confident positions does not depend on the device."""
    confidence = torch.full((1, 4), 0.5)
    assert accept(confidence, torch.zeros(1, 4, dtype=torch.bool), 2, 2.0).tolist() == [
        [True, True, False, False]
    ]


def test_report_never_says_what_no_report_can_contain() -> None:
    """The mask and the image placeholder are never chosen, however likely the network considers them."""
    token, confidence, probabilities = choose(torch.tensor([[9.0, 1.0, 8.0, 0.0]]), (0, 2))
    assert token.tolist() == [1]
    assert probabilities[0, [0, 2]].tolist() == [0.0, 0.0]
    assert torch.softmax(torch.tensor([1.0, 0.0]), 0)[0].item() == pytest.approx(confidence.item())
