"""Baselines as differences: small, close, and refused for another network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.evaluate.deltas import DeltaError, apply_delta, save_delta


def test_a_delta_gives_the_other_network_back_to_a_hundredth_of_the_change(tmp_path: Path) -> None:
    """Deltas have eight bits per weight and a scale per row."""
    chance = torch.Generator().manual_seed(0)
    reference = {"a": torch.randn(6, 40, generator=chance), "b": torch.randn(6, generator=chance)}
    change = torch.randn(6, 40, generator=chance) * 0.1
    other = {"a": reference["a"] + change, "b": reference["b"]}
    path = tmp_path / "deep" / "other.safetensors"

    save_delta(reference, other, path)
    restored = apply_delta(reference, path)

    assert float((restored["a"] - other["a"]).abs().max()) <= float(change.abs().max()) / 200
    assert torch.equal(reference["b"], restored["b"])


def test_a_delta_of_another_network_is_refused(tmp_path: Path) -> None:
    """A name that the network does not have is an error that states the remedy."""
    path = tmp_path / "x.safetensors"
    save_delta({"a": torch.zeros(2)}, {"a": torch.ones(2)}, path)

    with pytest.raises(DeltaError, match="rebuild the baselines"):
        apply_delta({"b": torch.zeros(2)}, path)
