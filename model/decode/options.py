"""The options and the results of a decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from model.network.backbone import Backbone
from model.network.config import BlockAnchor, ModelConfig, PromptAttention
from model.network.prompt import PromptBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How to decode.

    steps: forwards in which a block's tokens are settled (1..block_size); a step commits the
    ceil(block_size / steps) most confident tokens, and with `threshold` every other one at least that
    confident. max_tokens: the longest report in tokens, including its end token. image_token_id: the
    placeholder of the prompt's images, which no report may contain.
    """

    block_size: int
    mask_token_id: int
    eos_token_id: int
    image_token_id: int
    max_tokens: int
    steps: int = 1
    threshold: float | None = None
    block_anchor: BlockAnchor = BlockAnchor.RESPONSE
    prompt_attention: PromptAttention = PromptAttention.CAUSAL

    @classmethod
    def of(
        cls,
        config: ModelConfig,
        *,
        max_tokens: int | None = None,
        steps: int | None = None,
        threshold: float | None = None,
    ) -> DecodeOptions:
        """A checkpoint's own decoding options; `steps` given alone replaces its steps and its threshold."""
        return cls(
            block_size=config.block_size,
            mask_token_id=config.mask_token_id,
            eos_token_id=config.eos_token_id,
            image_token_id=config.shape.image_token_id,
            max_tokens=max_tokens or config.max_tokens,
            steps=steps or config.denoising_steps,
            threshold=threshold if steps or threshold else config.confidence_threshold,
            block_anchor=config.block_anchor,
            prompt_attention=config.prompt_attention,
        )

    def tail(self, prompt_length: int) -> int:
        """How many of a prompt's last tokens are in the first block."""
        return prompt_length % self.block_size if self.block_anchor is BlockAnchor.SEQUENCE else 0

    def block_start(self, token: int, prompt_length: int) -> int:
        """The first token of the block that holds `token`, both counted from the report's start."""
        tail = self.tail(prompt_length)
        return max(0, (token + tail) // self.block_size * self.block_size - tail)

    @property
    def never(self) -> tuple[int, ...]:
        """The tokens that no report can contain: `model.decode.commit.sayable`."""
        return (self.mask_token_id, self.image_token_id)

    @property
    def commits(self) -> int:
        """The least number of tokens that one step settles."""
        return -(-self.block_size // self.steps)

    @property
    def least_confidence(self) -> float:
        """The threshold, or 2 if there is none: no probability reaches it."""
        return 2.0 if self.threshold is None else self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One report's tokens.

    tokens: without the end token. confidences: the probability in 0..1 with which each token of
    `tokens` was chosen. block_confidences: for each block the smallest of its tokens' probabilities
    (the end token counts, what follows it does not). stopped: the end token was reached, so the report
    is complete. forwards: those that this report needed, including the prefill.
    """

    tokens: tuple[int, ...]
    confidences: tuple[float, ...]
    block_confidences: tuple[float, ...]
    stopped: bool
    forwards: int

    @property
    def length(self) -> int:
        """Generated tokens, the end token included."""
        return len(self.tokens) + self.stopped

    @property
    def blocks(self) -> int:
        """Blocks that the report took."""
        return len(self.block_confidences)


class Decoder(Protocol):
    """The signature that every decoder has."""

    def __call__(
        self,
        backbone: Backbone,
        prompts: PromptBatch,
        options: DecodeOptions,
        *,
        observe: Observer | None = None,
    ) -> tuple[Decoded, ...]:
        """Decodes a batch of prompts on the backbone's device; greedy, so deterministic."""
        ...


# Called after each denoising step with (block number, step number, accepted bool [S, B], tokens [S, B],
# probabilities [S, B, V]): how a teacher's trajectory is recorded.
Observer = Callable[[int, int, Tensor, Tensor, Tensor], None]
