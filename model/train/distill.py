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
from model.train.lora import without_adapters
from model.train.objectives import DcdObjective, TextObjective, tensors
from model.train.parallel import Processes
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

    def batch(self, step: int, share: range) -> Batch:
        drawn = self.indices(step)
        answers = self._materials.collator.answers(self.answers_of(drawn))
        indices = drawn[share.start : share.stop]
        own = self.base_rows(indices) | self._trajectories.rows(indices, answers.tokens.shape[1])
        return self.rad_batch(own, {"answer": answers.tokens, "valid": answers.valid}, share, 1, 0)

    def validate(self, processes: Processes) -> dict[str, float]:
        return self._validator.onestep(processes)

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        self._materials.save(
            self.network_state(state), directory, Stage.ECHO, denoising_steps=1, confidence_threshold=None
        )


class T3dObjective(TextObjective):
    """T3D against a frozen reference: the network that it starts from.

    With adapters the reference is the same network without them; otherwise it is a copy of the decoder in
    the forward's precision. Rows add `masked` [B, 1, R] (the state), `path` [B, 1, R] (the state of the
    k-step decoder) and `uniform` [B, R] in [0, 1), from which the fake tokens are drawn.
    """

    def __init__(
        self, backbone: Backbone, reference: Backbone | None, config: ModelConfig, settings: T3dConfig
    ) -> None:
        super().__init__(backbone, config)
        # In a list, so that its parameters do not belong to this stage.
        self._reference = [] if reference is None else [TextObjective(reference, config)]
        self._settings = settings

    def forward(self, part: Batch) -> Tensor:
        given, settings = tensors(part), self._settings
        answer, valid = given["answer"], given["valid"]
        states = torch.cat([given["masked"], given["path"]], dim=1)  # [B, 2, R]
        noisy = noisy_tokens(answer, states, self.config.mask_token_id)
        sequence = torch.cat([answer, noisy], dim=1)
        clean = given["prompt"].shape[1] + answer.shape[1]
        state, path = given["masked"][:, 0] & valid, given["path"][:, 0] & valid
        nowhere = torch.zeros_like(path)
        own = self.logits(part, sequence, 2, functional.pad(torch.cat([state, path], dim=1), (clean, 0)))
        at_state = functional.pad(torch.cat([state, nowhere], dim=1), (clean, 0))
        reference = self._reference_logs(part, sequence, at_state)
        # Both choose rows by study: first a study's state, then its path.
        order = torch.cat([state, path], dim=1)
        is_state = torch.cat([torch.ones_like(state), nowhere], dim=1)[order]
        logs = own[is_state].float().log_softmax(dim=-1)
        fake, real = _draw(reference, given["uniform"][state]), answer[state][:, None]
        means = [
            t3d.sample_means(values.gather(1, ids).squeeze(1), state)
            for values, ids in ((logs, real), (reference, real), (logs, fake), (reference, fake))
        ]
        losses = t3d.discriminative_loss(*means, beta=settings.beta, alpha=settings.alpha)  # [B]
        spread = (1.0 / path.sum(dim=1).clamp(min=1).float())[:, None].expand_as(path)[path]
        along_path = weighted_cross_entropy(own[~is_state], answer[path], spread)
        return (losses.sum() + settings.path_weight * along_path) / part.total

    @torch.no_grad()
    def _reference_logs(self, part: Batch, sequence: Tensor, rows: Tensor) -> Tensor:
        """The reference's log-probabilities of the chosen rows: [N, V]."""
        if self._reference:
            logits = self._reference[0].logits(part, sequence, 2, rows)
        else:
            with without_adapters(self.backbone):
                logits = self.logits(part, sequence, 2, rows)
        return logits.float().log_softmax(dim=-1)


def _draw(log_probabilities: Tensor, uniform: Tensor) -> Tensor:
    """One token per row by inverting the distribution function at `uniform` in [0, 1): int [N, 1]."""
    reached = log_probabilities.exp().cumsum(dim=1)
    return (reached < uniform[:, None]).sum(dim=1, keepdim=True).clamp(max=log_probabilities.shape[1] - 1)


class T3dStage(TextStage):
    """Trajectory self-distillation to a few steps per block."""

    name = "t3d"

    def __init__(self, materials: Materials, config: T3dConfig, trajectories: StoredTrajectories) -> None:
        reference = None
        if config.lora is None:
            reference = _reference(materials)
        super().__init__(materials, config, _answers(materials, trajectories))
        self._trajectories = trajectories
        self._settings = config
        self.objective = T3dObjective(materials.backbone, reference, materials.config, config)

    def batch(self, step: int, share: range) -> Batch:
        drawn = self.indices(step)
        answers = self._materials.collator.answers(self.answers_of(drawn))
        length, size = answers.tokens.shape[1], self._materials.config.block_size
        kept = self._trajectories.rows(drawn, length)
        chance = self.noise_generator(step)
        per_step = self._settings.tokens_per_step
        order = t3d.commit_order(kept["steps"], kept["top_probabilities"][..., 0], size)
        state = t3d.state_of(kept["steps"], answers.valid, size, chance)
        taken = torch.randint(0, -(-size // per_step), (len(drawn), length // size), generator=chance)
        whole = {
            "answer": answers.tokens,
            "valid": answers.valid,
            "masked": state[:, None],
            "path": t3d.fewer_step_state(order, answers.valid, size, per_step, taken)[:, None],
            "uniform": torch.rand(len(drawn), length, generator=chance),
        }
        own = self.base_rows(drawn[share.start : share.stop])
        return self.rad_batch(own, whole, share, 2, 0)

    def validate(self, processes: Processes) -> dict[str, float]:
        per_step = self._settings.tokens_per_step
        return self._validator.multistep(processes, threshold=2.0, tokens_per_step=per_step)

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        steps = -(-self._materials.config.block_size // self._settings.tokens_per_step)
        self._materials.save(
            self.network_state(state), directory, Stage.T3D, denoising_steps=steps, confidence_threshold=None
        )


def _reference(materials: Materials) -> Backbone:
    """A frozen copy of the network in the forward's precision; the tower is the same one, not a copy."""
    visual = materials.backbone.network.model.visual
    memo = {id(visual): visual}
    reference = copy.deepcopy(materials.backbone, memo).requires_grad_(False).eval()
    dtype = getattr(torch, materials.setting.precision)
    for parameter in reference.parameters():
        parameter.data = parameter.data.to(dtype)
    return reference


def _answers(materials: Materials, trajectories: StoredTrajectories) -> list[list[int]]:
    """One answer per example; studies without a usable rollout get none and are never drawn."""
    answers = trajectories.answers()
    return answers + [[] for _ in range(len(materials.examples) - len(answers))]
