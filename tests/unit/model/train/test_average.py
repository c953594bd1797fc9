"""The mean of branches: weight by weight, and no mean of networks that differ in shape."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model.network.config import Stage
from model.train.average import AverageError, load_mean
from model.train.stages import Materials


def test_mean_of_branches_is_the_mean_of_every_weight(
    make_materials: Callable[[], Materials], tmp_path: Path
) -> None:
    """Three branches of one network, two of which moved in opposite directions."""
    materials = make_materials()
    network = materials.backbone.network
    start = {name: value.clone() for name, value in network.state_dict().items()}
    for number, step in enumerate((0.0, 0.3, -0.6)):
        network.load_state_dict({name: value + step for name, value in start.items()})
        materials.save(network.state_dict(), tmp_path / str(number), Stage.ECHO)

    found = load_mean([tmp_path / str(number) for number in range(3)])

    assert found.config.stage is Stage.ECHO
    for name, value in found.backbone.network.state_dict().items():
        torch.testing.assert_close(value, start[name] - 0.1)


def test_networks_of_other_shapes_have_no_mean(
    make_materials: Callable[[], Materials], tmp_path: Path
) -> None:
    """The error names the network that does not fit."""
    materials = make_materials()
    materials.save(materials.backbone.network.state_dict(), tmp_path / "one", Stage.ECHO)
    layers = materials.backbone.network.model.language_model.layers
    layers.append(copy.deepcopy(layers[0]))
    text = materials.config.network["text_config"]
    text["num_hidden_layers"] += 1
    if "layer_types" in text:
        text["layer_types"] = [*text["layer_types"], text["layer_types"][0]]
    materials.save(materials.backbone.network.state_dict(), tmp_path / "other", Stage.ECHO)

    with pytest.raises(AverageError, match="other has other tensors"):
        load_mean([tmp_path / "one", tmp_path / "other"])
