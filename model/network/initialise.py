"""Prepares a published base: `echo_config.json`, the mask token, and a summary of the choices.

A base is a directory in the Hugging Face layout of Qwen2.5-VL. Three are recognised by their content:
Qwen2.5-VL and Lingshu (autoregressive, Qwen's own chat template) and the published ECHO checkpoints (block
diffusion with its own mask token, blocks anchored in the sequence).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from model.errors import ConfigError, ModelError
from model.json_once import read_json
from model.network.config import (
    INSTRUCTION,
    BlockAnchor,
    ModelConfig,
    NetworkShape,
    PromptAttention,
    SizePolicy,
    Stage,
)
from model.network.config_relations import network_problems
from model.network.inspection import CONFIG, SIDECAR, TOKENIZER
from model.network.published_files import ImageBounds, image_bounds, remedy
from model.network.tokenizer import MASK, TURN_END

# The mask token as other vendors spell it.
_KNOWN_MASKS = (MASK, "<|MASK|>")
_QWEN_SYSTEM = "You are a helpful assistant."
# The processor's own bounds in the published preprocessor_config.json, and the budget of the published ECHO.
_QWEN_PIXELS, _ECHO_PIXELS = 1280 * 28 * 28, 2_250_000
_LEAST_PIXELS = 56 * 56
_ECHO_PROMPTS = {
    "en": "Review this chest X-ray and write a report.Use this format: Findings: {}, Impression: {}.",
    "zh": "这是一组胸部X光图像，请生成一份医学报告，包括所见和结论。以以下格式返回报告：所见：{} 结论：{}。",
}


class InitError(ModelError):
    """A directory cannot be prepared; the message names what is missing or conflicting."""

    code = "init"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The user's options; None: the default for this kind of base."""

    licence: str
    name: str | None = None
    block_size: int = 8
    stage: Stage | None = None
    block_anchor: BlockAnchor | None = None
    size_policy: SizePolicy | None = None
    image_size: int = 896
    max_pixels: int | None = None
    language: str = "en"
    instruction: str | None = None
    chat_template: bool = True
    max_tokens: int = 256


def initialise(directory: Path, choices: Choices, *, overwrite: bool = False) -> list[str]:
    """Writes `echo_config.json` and adds a mask token if there is none; returns the choices.

    Raises:
        InitError, with nothing changed.
    """
    if (directory / SIDECAR).exists() and not overwrite:
        raise InitError(f"{directory} has {SIDECAR} already; nothing was changed (--overwrite replaces it)")
    network, tokenizer, bounds = _read(directory)
    found = next((mask for mask in _KNOWN_MASKS if tokenizer.token_to_id(mask) is not None), None)
    published = found == "<|MASK|>"
    said = [
        f"base            {'a published ECHO checkpoint' if published else 'an autoregressive Qwen2.5-VL'}"
    ]
    mask = tokenizer.token_to_id(found or MASK)
    if mask is None:
        tokenizer.add_special_tokens([AddedToken(MASK, special=True, normalized=False)])
        mask = int(tokenizer.token_to_id(MASK) or 0)
        grown = _grow(network, mask + 1)
        said.append(
            f"mask token      {MASK} added as token {mask}"
            + (": the embedding grows by a row" if grown else ", in the embedding's spare rows")
        )
    else:
        said.append(f"mask token      {found} is token {mask} already")
    config = _config(network, tokenizer, mask, choices, bounds, published=published, name=directory.name)
    said += _described(config)
    _write(directory / CONFIG, network)
    tokenizer.save(str(directory / TOKENIZER))
    _write(directory / SIDECAR, config.sidecar())
    return said


def _read(directory: Path) -> tuple[dict[str, Any], Tokenizer, ImageBounds]:
    try:
        network = read_json((directory / CONFIG).read_text(encoding="utf-8"))
        shape = NetworkShape.of(network)
        bounds = image_bounds(directory, shape)
        if problems := network_problems(network):
            raise ConfigError("; ".join(problems))
    except FileNotFoundError as error:
        raise InitError(f"{directory} has no {CONFIG}, so it is not a base{remedy(directory)}") from error
    except (ValueError, ConfigError) as error:
        raise InitError(f"{directory} cannot be used: {error}{remedy(directory)}") from error
    try:
        tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
    except Exception as error:  # the tokenizer library raises nothing more specific
        reason = f"{TOKENIZER} of {directory} is missing or no tokenizer ({error})"
        raise InitError(reason + remedy(directory)) from error
    return network, tokenizer, bounds


def _grow(network: dict[str, Any], tokens: int) -> bool:
    """Makes room for this many tokens in the configuration; loading fills the new rows."""
    grown = False
    for part in (network, network.get("text_config")):
        if isinstance(part, dict) and part.get("vocab_size", tokens) < tokens:
            part["vocab_size"], grown = tokens, True
    return grown


def _config(
    network: Mapping[str, Any],
    tokenizer: Tokenizer,
    mask: int,
    choices: Choices,
    bounds: ImageBounds,
    *,
    published: bool,
    name: str,
) -> ModelConfig:
    anchor = choices.block_anchor or (BlockAnchor.SEQUENCE if published else BlockAnchor.RESPONSE)
    stage = choices.stage or (Stage.ECHO if published else Stage.AR)
    instructions = dict(_ECHO_PROMPTS) if published else {"en": INSTRUCTION}
    if choices.instruction is not None:
        instructions[choices.language] = choices.instruction
    end = tokenizer.token_to_id(TURN_END)
    if end is None:
        raise InitError(f"the tokenizer has no {TURN_END}: is it Qwen's?")
    # A base's processor may allow far more than a radiograph needs, but never less than the base was trained
    # with.
    budget = _ECHO_PIXELS if published else min(bounds.most or _QWEN_PIXELS, _QWEN_PIXELS)
    most = choices.max_pixels or budget
    try:
        return ModelConfig(
            network=network,
            block_size=choices.block_size,
            mask_token_id=mask,
            eos_token_id=end,
            stage=stage,
            image_size=choices.image_size,
            denoising_steps=1 if stage is Stage.ECHO else choices.block_size,
            block_anchor=anchor,
            prompt_attention=(
                PromptAttention.BLOCK if anchor is BlockAnchor.SEQUENCE else PromptAttention.CAUSAL
            ),
            max_tokens=choices.max_tokens,
            reads_context=not published,
            instructions=instructions,
            language=choices.language,
            system=_QWEN_SYSTEM if choices.chat_template else "",
            chat_template=choices.chat_template,
            size_policy=choices.size_policy or SizePolicy.ASPECT,
            max_pixels=most,
            min_pixels=min(bounds.least or _LEAST_PIXELS, most),
            name=choices.name or name,
            licence=choices.licence,
        )
    except ConfigError as error:
        raise InitError(str(error)) from error


def _described(config: ModelConfig) -> Iterator[str]:
    if config.size_policy is SizePolicy.ASPECT:
        yield f"images          own shape, at most {config.max_pixels:,} px = {config.image_tokens} tokens"
    else:
        yield f"images          square of {config.image_size} px = {config.image_tokens} tokens"
    yield f"image order     {' before '.join(config.image_order)}"
    form = "chat template" if config.chat_template else "no chat template"
    yield f"prompt          {form}, language {config.language}: {config.prompt.instruction!r}"
    yield f"blocks          {config.block_size} tokens, anchored at the {config.block_anchor}"
    yield f"stage           {config.stage}"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
