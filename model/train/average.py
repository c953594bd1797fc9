"""The mean of several networks' weights.

Networks that start from the same weights and learn from different studies make errors in different reports;
the mean of their weights tends to make fewer errors than any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.errors import ModelError
from model.network.checkpoint import Checkpoint, load_checkpoint


class AverageError(ModelError):
    """The checkpoints do not have the same tensors, so they have no mean."""

    code = "average"
    retryable = False


def load_mean(directories: Sequence[Path]) -> Checkpoint:
    """The first checkpoint, with the mean of all their weights.

    Raises:
        AverageError if one has other tensors than the first.
    """
    first = load_checkpoint(directories[0])
    network = first.backbone.network
    sums = {name: value.double() for name, value in network.state_dict().items()}
    for directory in directories[1:]:
        state = load_checkpoint(directory).backbone.network.state_dict()
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in sums.items()}:
            raise AverageError(
                f"{directory} has other tensors than {directories[0]}; a mean needs branches of one recipe"
            )
        sums = {name: total + state[name] for name, total in sums.items()}
    network.load_state_dict({name: total / len(directories) for name, total in sums.items()})
    return first
