"""Inspects a checkpoint for problems, using everything except the values of its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import CheckpointError, ConfigError
from model.json_once import KeyTwice, read_json
from model.network.backbone import Backbone
from model.network.config import ModelConfig, SizePolicy
from model.network.config_relations import network_problems
from model.network.published_files import remedy
from model.network.stored_sizes import size_conflicts
from model.network.tokenizer import ENDS, MASK, SPECIAL_TOKENS, VISION_END, VISION_START, ReportTokenizer
from model.network.weights import FLOAT_TYPES, StoredWeights, scan_weights, weights_sha256

CONFIG, SIDECAR, TOKENIZER = "config.json", "echo_config.json", "tokenizer.json"
# The tensors that grow with the vocabulary.
_VOCABULARY = ("model.language_model.embed_tokens.weight", "lm_head.weight")
# Token ids of `config.json` by the tokenizer's names.
_STATED = {
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
    "video_token_id": "<|video_pad|>",
}
_SHOWN = 5  # names that a message lists before it gives the number of further ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The result of an inspection: what a checkpoint is and whether it loads; `str()` gives the report for a
    person.

    types: the number of tensors by stored type. notes: what loading changes.
    """

    directory: Path
    config: ModelConfig | None
    tokenizer: ReportTokenizer | None
    weights: StoredWeights
    types: Mapping[str, int]
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether `load_checkpoint` will succeed."""
        return not self.problems

    def __str__(self) -> str:
        lines = [f"{self.directory}: {'loads' if self.loads else 'DOES NOT LOAD'}"]
        if self.config is not None:
            lines += _describe(self.config)
        stored = ", ".join(f"{count} tensors in {kind}" for kind, count in sorted(self.types.items()))
        size = f"{self.weights.parameters:,} in {len(self.weights.files)} file(s)"
        lines.append(f"  weights         {size}: {stored or '-'}")
        if self.weights.files:
            lines.append(f"  sha256          {weights_sha256(self.weights.files)}")
        lines += [f"  note            {note}" for note in self.notes]
        lines += [f"  PROBLEM         {problem}" for problem in self.problems]
        return "\n".join(lines)


def sound_checkpoint(
    directory: Path, sidecar: Mapping[str, Any] | None = None
) -> tuple[ModelConfig, ReportTokenizer, StoredWeights]:
    """Returns the parts of a checkpoint that loads. Raises: CheckpointError with every problem."""
    found = inspect_checkpoint(directory, sidecar)
    if found.problems or found.config is None or found.tokenizer is None:
        raise CheckpointError(str(directory), found.problems)
    return found.config, found.tokenizer, found.weights


def inspect_checkpoint(directory: Path, sidecar: Mapping[str, Any] | None = None) -> Inspection:
    """Inspects everything except the weights' values; problems never raise.

    sidecar: the content of `echo_config.json`, for a directory without one (an autoregressive base).
    """
    problems: list[str] = []
    config = _read_config(directory, sidecar, problems)
    tokenizer = _read_tokenizer(directory, problems)
    weights = scan_weights(directory)
    problems += weights.problems
    if hint := remedy(directory) if problems else "":
        problems.append(f"{directory.name}{hint}")
    notes: list[str] = []
    if config is not None:
        problems += _tensor_problems(config, weights, notes)
        problems += _token_problems(config, tokenizer)
        if not config.licence and not config.demonstration:
            problems.append(
                f"{SIDECAR} states no `licence`: name the one under which you may use these weights"
            )
    return Inspection(
        directory=directory,
        config=config,
        tokenizer=tokenizer,
        weights=weights,
        types=Counter(tensor.kind for tensor in weights.tensors.values()),
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _describe(config: ModelConfig) -> list[str]:
    shape = config.shape
    threshold = config.confidence_threshold
    steps = f"{config.denoising_steps} per block" + (f" or confidence {threshold}" if threshold else "")
    return [
        f"  model           {config.name} {config.version}"
        + (" (DEMONSTRATION)" if config.demonstration else ""),
        f"  licence         {config.licence or '-'}",
        f"  stage           {config.stage}",
        f"  blocks          {config.block_size} tokens, anchored at the {config.block_anchor}; {steps}",
        f"  mask / end      token {config.mask_token_id} / token {config.eos_token_id}",
        f"  decoder         {shape.layers} layers x {shape.hidden}, {shape.heads}/{shape.kv_heads} heads, "
        f"vocabulary {shape.vocab_size}",
        f"  vision          {shape.vision_layers} layers x {shape.vision_hidden}, {_image_policy(config)}",
        f"  prompt          {_prompt_policy(config)}",
    ]


def _image_policy(config: ModelConfig) -> str:
    """Describes how images are sized."""
    if config.size_policy is SizePolicy.ASPECT:
        return f"own shape up to {config.max_pixels:,} px = at most {config.image_tokens} tokens"
    return f"{config.image_size} px = {config.image_tokens} tokens"


def _prompt_policy(config: ModelConfig) -> str:
    """Describes the order of the images and the instruction."""
    form = "chat turns" if config.chat_template else "plain text"
    languages = ", ".join(sorted(config.instructions))
    order = " before ".join(config.image_order)
    return f"{form}, {order}, {config.language} (of {languages}): {config.prompt.instruction!r}"


def _read_config(
    directory: Path, sidecar: Mapping[str, Any] | None, problems: list[str]
) -> ModelConfig | None:
    parts: list[Mapping[str, Any]] = []
    for name in (CONFIG, SIDECAR):
        if name == SIDECAR and sidecar is not None:
            parts.append(sidecar)
            continue
        try:
            content = read_json((directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            problems.append(f"{name} is missing")
            continue
        except KeyTwice as error:
            problems.append(f"{name}: {error}")
            continue
        except (ValueError, OSError):
            problems.append(f"{name} cannot be read as JSON")
            continue
        if isinstance(content, dict):
            parts.append(content)
        else:
            problems.append(f"{name} must be a JSON object")
    if len(parts) < 2:
        return None
    try:
        return ModelConfig.from_sidecar(*parts)
    except ConfigError as error:
        problems.append(str(error))
        return None


def _read_tokenizer(directory: Path, problems: list[str]) -> ReportTokenizer | None:
    try:
        return ReportTokenizer.load(directory / TOKENIZER)
    except ConfigError as error:
        problems.append(str(error))
        return None


def _tensor_problems(config: ModelConfig, weights: StoredWeights, notes: list[str]) -> list[str]:
    problems = [f"{CONFIG}: {problem}" for problem in network_problems(config.network)]
    try:
        expected = Backbone.tensor_shapes(config.network)
    except ConfigError as error:
        return [*problems, str(error)]
    stored = weights.tensors
    missing = [name for name in expected if name not in stored]
    extra = [
        name for name in stored if name not in expected and not (config.shape.tied and name in _VOCABULARY)
    ]
    if missing:
        problems.append(f"{len(missing)} tensors are missing: {_listed(missing)}")
    problems += _head_problems(config, weights)
    if extra:
        problems.append(f"{len(extra)} tensors belong to no part of this network: {_listed(extra)}")
    foreign = [f"{name} ({tensor.kind})" for name, tensor in stored.items() if tensor.kind not in FLOAT_TYPES]
    if foreign:
        problems.append(f"{len(foreign)} tensors are not fp32, bf16 or fp16: {_listed(foreign)}")
    wrong, shapes = [], {name: tensor.shape for name, tensor in stored.items()}
    for name, shape in expected.items():
        if name not in stored or stored[name].shape == tuple(shape):
            continue
        if _mask_token_is_added(config, name, stored[name].shape, shape):
            notes.append(f"{name} grows from {stored[name].shape[0]} to {shape[0]} rows for the mask token")
            shapes[name] = tuple(shape)
        else:
            wrong.append(f"{name} is {list(stored[name].shape)}, not {list(shape)}")
    if wrong:
        problems.append(f"{len(wrong)} tensors have another size than config.json says: {_listed(wrong)}")
    if missing or extra or wrong:
        problems += [f"{CONFIG}: {conflict}" for conflict in size_conflicts(config.network, shapes)]
    return problems


def _head_problems(config: ModelConfig, weights: StoredWeights) -> list[str]:
    """Checks `tie_word_embeddings` against the weights."""
    embedding, head = _VOCABULARY
    stored = weights.tensors
    if embedding not in stored or weights.problems:
        return []  # what is missing may be in a file that could not be read
    if not config.shape.tied:
        absent = (
            "tie_word_embeddings is False, but there is no lm_head.weight; it must be true for such weights"
        )
        return [] if head in stored else [absent]
    if head in stored and not weights.equal(embedding, head):
        return [
            "tie_word_embeddings is True, but lm_head.weight differs from the embedding; it must be false "
            "for such weights"
        ]
    return []


def _mask_token_is_added(
    config: ModelConfig, name: str, stored: tuple[int, ...], expected: tuple[int, ...]
) -> bool:
    """Whether a vocabulary tensor lacks only its last rows, including the mask token's."""
    return (
        name in _VOCABULARY and stored[1:] == expected[1:] and stored[0] <= config.mask_token_id < expected[0]
    )


def _token_problems(config: ModelConfig, tokenizer: ReportTokenizer | None) -> list[str]:
    if tokenizer is None:
        return []
    mask, end, image = config.mask_token_id, config.eos_token_id, config.shape.image_token_id
    vocabulary = config.shape.vocab_size
    word, last_word = tokenizer.decode([mask]), tokenizer.decode([end])
    others = {tokenizer.special(token): token for token in SPECIAL_TOKENS if token not in (MASK, *ENDS)}
    checks = {
        f"the tokenizer's largest id is {tokenizer.largest_id}; vocab_size {vocabulary} must be larger": (
            tokenizer.largest_id < vocabulary
        ),
        f"mask_token_id is {mask}, but the tokenizer's mask token is {tokenizer.mask_id}": (
            tokenizer.mask_id in (None, mask)
        ),
        f"mask_token_id {mask} is a token of ordinary text: {word!r}": not word,
        f"mask_token_id {mask} is the tokenizer's {others.get(mask)}; it must be a token of its own": (
            tokenizer.mask_id is not None or mask not in others
        ),
        f"eos_token_id {end} is a token of ordinary text: {last_word!r}": not last_word,
        f"eos_token_id {end} is the tokenizer's {others.get(end)}; it must be one of {', '.join(ENDS)}": (
            end not in others
        ),
        f"image_token_id is {image}, but the tokenizer's image token is {tokenizer.image_id}": (
            tokenizer.image_id == image
        ),
    }
    for name, token in _STATED.items():
        stated, known = config.network.get(name), tokenizer.find(token)
        agrees = stated is None or known is None or stated == known
        checks[f"{name} is {stated}, but the tokenizer's {token} is {known}"] = agrees
    return [problem for problem, holds in checks.items() if not holds]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
