"""The teacher's multi-step decoding of many studies at once, recording the distribution at each commit.

For every position: the token, the step at which it was committed and the teacher's most probable
tokens there. The probability left over by the K most probable tokens is implied, so that a vocabulary of 150k
fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from model.decode.commit import accept, choose, sayable
from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.positions import text_positions
from model.train.reader import RolloutReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """Rollouts of B studies, padded with end-of-text to one length R."""

    tokens: Tensor  # int [B, R], the teacher's choice: what later blocks saw
    drafts: Tensor  # int [B, R], what the student says to each block in one step; without one, the choice
    valid: Tensor  # bool [B, R]; up to the end of the block with the first end-of-text
    steps: Tensor  # int [B, R], from 1; 0 where not valid
    top_ids: Tensor  # int [B, R, K]
    top_probabilities: Tensor  # [B, R, K]
    forwards: Tensor  # int [B], commits included, prefill excluded


@torch.inference_mode()
def roll_out(
    backbone: Backbone,
    config: ModelConfig,
    prompts: Mapping[str, Tensor],
    features: Tensor,
    *,
    threshold: float,
    top: int = 8,
    max_tokens: int = 256,
    most_steps: int | None = None,
    tokens_per_step: int = 1,
    student: Backbone | None = None,
    lead: float = 0.0,
) -> Trajectories:
    """Decodes block by block: each step commits the most confident token and all with at least `threshold`.

    Args:
        backbone: the teacher.
        config: its block size and special tokens.
        prompts: rows `prompt`, `prompt_valid`, `prompt_positions`, `next` of a collator.
        features: visual tokens of all prompts, [n, D].
        threshold: probability in (0, 1]; above 1 no token reaches it and one token is committed per step.
        top: probabilities stored per position, K. max_tokens: longest answer. most_steps: a block's last step
        commits everything left (1: naive one-step decoding). tokens_per_step: the least number of tokens that
        a step commits, the most confident first. student: its one-step drafts of the blocks, each after the
        teacher's earlier blocks, are recorded too. lead: weight of the student's preference: its
        log-probabilities, times this, are added to the teacher's at every step. Between two equally good
        readings the teacher then follows the student's choice instead of mixing them.
    """
    size = config.block_size
    batch, prompt = prompts["prompt"].shape
    blocks = -(-max_tokens // size)
    networks = [one for one in (backbone, student) if one is not None]
    readers = [_reader(one, config, prompt + blocks * size, prompts, features) for one in networks]
    visible, following = prompts["prompt_valid"], prompts["next"]
    rule = _Rule(threshold, most_steps, tokens_per_step)
    recorder = _Recorder(batch, blocks * size, top, config, visible.device)
    alive = torch.arange(batch, device=visible.device)
    for block in range(blocks):
        positions = text_positions(following + block * size, size)  # [3, b, size]
        target = _Target(recorder, alive, block * size)
        said = None if student is None else _one_step(readers[1], config, visible, positions)
        leaning = lead * said if said is not None and lead > 0 else None
        tokens = _decode_block(readers[0], config, visible, positions, target, rule, leaning)
        target.put(tokens, tokens if said is None else said.argmax(dim=-1))
        ended = (tokens == config.eos_token_id).any(dim=1)
        alive, kept = alive[~ended], (~ended).nonzero().squeeze(1)
        if not len(alive):
            break
        visible, following = visible[kept], following[kept]
        for reader in readers:
            reader.keep(kept)
            reader.read(tokens[kept], positions[:, kept], visible)
        recorder.forwards[alive] += 1
        prefix = torch.ones(len(kept), size, dtype=torch.bool, device=visible.device)
        visible = torch.cat([visible, prefix], dim=1)
    return recorder.finish(size)


@dataclass(frozen=True, slots=True)
class _Target:
    """The destination of a block's results: the recorder, the rows of the batch and the first position."""

    recorder: _Recorder
    rows: Tensor
    start: int

    def put(self, tokens: Tensor, drafts: Tensor) -> None:
        """Records the block's tokens [b, size], and the student's one-step draft of it."""
        place = slice(self.start, self.start + tokens.shape[1])
        self.recorder.tokens[self.rows, place] = tokens
        self.recorder.drafts[self.rows, place] = drafts


@dataclass(frozen=True, slots=True)
class _Rule:
    """The open positions that a step commits."""

    threshold: float
    most_steps: int | None
    tokens_per_step: int

    def commit(self, best: Tensor, waiting: Tensor, step: int) -> Tensor:
        """bool [r, size], from the highest probabilities and the open positions."""
        if self.most_steps is not None and step >= self.most_steps:
            return waiting
        return accept(best, ~waiting, self.tokens_per_step, self.threshold)


class _Recorder:
    def __init__(self, batch: int, length: int, top: int, config: ModelConfig, device: torch.device) -> None:
        self._eos = config.eos_token_id
        self.tokens = torch.full((batch, length), self._eos, device=device)
        self.drafts = self.tokens.clone()
        self.steps = torch.zeros(batch, length, dtype=torch.long, device=device)
        self.top_ids = torch.zeros(batch, length, top, dtype=torch.long, device=device)
        self.top_probabilities = torch.zeros(batch, length, top, device=device)
        self.forwards = torch.zeros(batch, dtype=torch.long, device=device)

    def finish(self, block_size: int) -> Trajectories:
        """Cuts the batch to its longest answer; everything after an answer's first end is end-of-text."""
        ended = (self.tokens == self._eos).cumsum(dim=1) > 0
        valid = self.steps > 0
        length = max(block_size, int(valid.sum(dim=1).max()))
        return Trajectories(
            tokens=torch.where(ended, self._eos, self.tokens)[:, :length],
            drafts=torch.where(ended, self._eos, self.drafts)[:, :length],
            valid=valid[:, :length],
            steps=self.steps[:, :length],
            top_ids=self.top_ids[:, :length],
            top_probabilities=self.top_probabilities[:, :length],
            forwards=self.forwards,
        )


def _reader(
    network: Backbone, config: ModelConfig, capacity: int, prompts: Mapping[str, Tensor], features: Tensor
) -> RolloutReader:
    """A network that has read the prompts."""
    reader = RolloutReader(network, capacity, attention=config.prompt_attention, block_size=config.block_size)
    reader.read_prompts(prompts, features)
    return reader


def _never(config: ModelConfig) -> tuple[int, ...]:
    return (config.mask_token_id, config.shape.image_token_id)


def _one_step(student: RolloutReader, config: ModelConfig, visible: Tensor, positions: Tensor) -> Tensor:
    """A student's log-probabilities for a fully masked block: [b, size, V]."""
    masked = torch.full((len(visible), config.block_size), config.mask_token_id, device=visible.device)
    logits = student.logits(masked, positions, visible, None)
    return sayable(logits, _never(config)).log_softmax(dim=-1)


def _decode_block(
    teacher: RolloutReader,
    config: ModelConfig,
    visible: Tensor,
    positions: Tensor,
    target: _Target,
    rule: _Rule,
    leaning: Tensor | None = None,
) -> Tensor:
    """Fills one block of every row, step by step; returns its tokens [b, size].

    `leaning` [b, size, V] is added to the teacher's logits.
    """
    size, out = config.block_size, target.recorder
    tokens = torch.full((len(visible), size), config.mask_token_id, device=visible.device)
    open_ = torch.ones_like(tokens, dtype=torch.bool)
    step = 0
    while bool(open_.any()):
        step += 1
        rows = open_.any(dim=1).nonzero().squeeze(1)
        logits = teacher.logits(tokens[rows], positions[:, rows], visible[rows], rows)
        if leaning is not None:
            logits = logits + leaning[rows]
        choice, best, probabilities = choose(logits, _never(config))  # [r, size], [r, size], [r, size, V]
        waiting = open_[rows]
        commit = rule.commit(best, waiting, step)
        tokens[rows] = torch.where(commit, choice, tokens[rows])
        open_[rows] = waiting & ~commit
        kept, ids = probabilities.topk(out.top_ids.shape[2], dim=-1)
        row, place = commit.nonzero(as_tuple=True)
        source = (target.rows[rows[row]], target.start + place)
        out.steps[source] = step
        out.top_ids[source] = ids[row, place]
        out.top_probabilities[source] = kept[row, place]
        out.forwards[target.rows[rows]] += 1
    return tokens
