"""The stages that learn from the teacher's trajectories: DCD (one step) and T3D (few steps)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from model.network.backbone import Backbone
from model.network.config import ModelConfig, Stage
from model.train import t3d
from model.train.config import DcdConfig, T3dConfig
from model.train.loop import Batch
from model.train.objectives import DcdObjective, TextObjective
from model.train.rad import noisy_tokens, weighted_cross_entropy
from model.train.stages import Materials, TextStage
from model.train.trajectories import StoredTrajectories


class DcdStage(TextStage):
    """Direct conditional distillation of the Base into one step per block."""

    name = "dcd"

    def __init__(self, materials: Materials, config: DcdConfig, trajectories: StoredTrajectories) -> None:
        draws = 1 + (config.unsure_draws - 1) * trajectories.unsure(config.unsure_below).long()
        idle = [0] * (len(materials.examples) - len(trajectories))
        super().__init__(materials, config, _answers(materials, trajectories), draws.tolist() + idle)
        self._trajectories = trajectories
        self.objective = DcdObjective(
            materials.backbone,
            materials.config,
            step_weights=config.step_weights,
            eos_weight=config.eos_weight,
            divergence=config.divergence,
            choice_weight=config.choice_weight,
        )

    def batch(self, step: int) -> Batch:
        indices = self.indices(step)
        rows = self.base_rows(indices)
        rows |= self._trajectories.rows(indices, rows["answer"].shape[1])
        return self.rad_batch(rows, 1)

    def validate(self) -> dict[str, float]:
        return self._validator.onestep()

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._load(state)
        self._materials.save(directory, Stage.ECHO, denoising_steps=1, confidence_threshold=None)


class T3dObjective(TextObjective):
    """T3D against a frozen copy of the network that it starts from.

    Rows add `masked` [B, 1, R] (the state), `path` [B, 1, R] (the state of the k-step decoder) and `fake`
    [B, R], drawn from the reference at the state.
    """

    def __init__(
        self, backbone: Backbone, reference: Backbone, config: ModelConfig, settings: T3dConfig
    ) -> None:
        super().__init__(backbone, config)
        self._reference = [TextObjective(reference, config)]  # in a list: no parameters of this stage
        self._settings = settings

    def forward(self, part: Batch, total: int) -> Tensor:
        given, settings = part.rows, self._settings
        answer, valid = given["answer"], given["valid"]
        states = torch.cat([given["masked"], given["path"]], dim=1)  # [B, 2, R]
        noisy = noisy_tokens(answer, states, self.config.mask_token_id)
        sequence = torch.cat([answer, noisy], dim=1)
        clean = given["prompt"].shape[1] + answer.shape[1]
        state = given["masked"][:, 0] & valid
        path = given["path"][:, 0] & valid
        nowhere = torch.zeros_like(path)
        own = self.logits(part, sequence, 2, functional.pad(torch.cat([state, path], dim=1), (clean, 0)))
        with torch.no_grad():
            at_state = functional.pad(torch.cat([state, nowhere], dim=1), (clean, 0))
            reference = self._reference[0].logits(part, sequence, 2, at_state).log_softmax(dim=-1)
        # Both choose rows study by study: first a study's state, then its path.
        order = torch.cat([state, path], dim=1)
        is_state = torch.cat([torch.ones_like(state), nowhere], dim=1)[order]
        logs = own[is_state].log_softmax(dim=-1)
        block = self._block_numbers(state)
        fake = _draw(reference, given["uniform"][state])
        sums = [
            torch.zeros(int(block.max()) + 1, device=logs.device).index_add(
                0, block, values.gather(1, ids).squeeze(1)
            )
            for values, ids in (
                (logs, answer[state][:, None]),
                (reference, answer[state][:, None]),
                (logs, fake),
                (reference, fake),
            )
        ]
        blocks = torch.bincount(block) > 0
        losses = t3d.discriminative_loss(*(s[blocks] for s in sums), beta=settings.beta, alpha=settings.alpha)
        discriminative = losses.sum() / blocks.sum() * len(answer)
        spread = (1.0 / path.sum(dim=1).clamp(min=1).float())[:, None].expand_as(path)[path]
        along_path = weighted_cross_entropy(own[~is_state], answer[path], spread)
        return (discriminative + settings.path_weight * along_path) / total

    def _block_numbers(self, state: Tensor) -> Tensor:
        """The number of the block, over the whole batch, of each chosen position: int [N]."""
        batch, length = state.shape
        blocks = length // self.config.block_size
        number = torch.arange(length, device=state.device) // self.config.block_size
        return (number + torch.arange(batch, device=state.device)[:, None] * blocks)[state]


def _draw(log_probabilities: Tensor, uniform: Tensor) -> Tensor:
    """One token per row by inverting the distribution function at `uniform` in [0, 1): int [N, 1]."""
    reached = log_probabilities.exp().cumsum(dim=1)
    return (reached < uniform[:, None]).sum(dim=1, keepdim=True).clamp(max=log_probabilities.shape[1] - 1)


class T3dStage(TextStage):
    """Trajectory self-distillation to a few steps per block."""

    name = "t3d"

    def __init__(self, materials: Materials, config: T3dConfig, trajectories: StoredTrajectories) -> None:
        super().__init__(materials, config, _answers(materials, trajectories))
        self._trajectories = trajectories
        self._settings = config
        reference = copy.deepcopy(materials.backbone).requires_grad_(False).eval()
        self.objective = T3dObjective(materials.backbone, reference, materials.config, config)

    def batch(self, step: int) -> Batch:
        indices = self.indices(step)
        rows = self.base_rows(indices)
        length, size = rows["answer"].shape[1], self._materials.config.block_size
        kept = self._trajectories.rows(indices, length)
        chance = self.noise_generator(step)
        steps, valid = kept["steps"], rows["valid"]
        rows["masked"] = t3d.state_of(steps, valid, size, chance)[:, None]
        order = t3d.commit_order(steps, kept["top_probabilities"][..., 0], size)
        most = -(-size // self._settings.tokens_per_step)
        taken = torch.randint(0, most, (len(indices), length // size), generator=chance)
        rows["path"] = t3d.fewer_step_state(order, valid, size, self._settings.tokens_per_step, taken)[
            :, None
        ]
        rows["uniform"] = torch.rand(len(indices), length, generator=chance)
        return self.rad_batch(rows, 2)

    def validate(self) -> dict[str, float]:
        return self._validator.multistep(threshold=2.0, tokens_per_step=self._settings.tokens_per_step)

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._load(state)
        steps = -(-self._materials.config.block_size // self._settings.tokens_per_step)
        self._materials.save(directory, Stage.T3D, denoising_steps=steps, confidence_threshold=None)


def _answers(materials: Materials, trajectories: StoredTrajectories) -> list[list[int]]:
    """One answer per example; studies without a usable rollout get none and are never drawn."""
    answers = trajectories.answers()
    return answers + [[] for _ in range(len(materials.examples) - len(answers))]
