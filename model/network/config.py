"""A checkpoint's configuration: the network's shape (`config.json`) and how ECHO uses it
(`echo_config.json`).

The network's configuration stays the plain dictionary of the Hugging Face layout, so that this module
needs no transformers; `NetworkShape` reads from it the sizes that caches, budgets and counts need.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self, get_type_hints

from model.errors import ConfigError
from model.network.config_check import MODEL_TYPE, size_problems, type_problems


class BlockAnchor(StrEnum):
    """Where the grid of blocks starts: at the first response token, or at absolute position 0."""

    RESPONSE = "response"
    SEQUENCE = "sequence"


class PromptAttention(StrEnum):
    """How prompt tokens see each other; must be the same in training and in prefill."""

    CAUSAL = "causal"
    BLOCK = "block"


class SizePolicy(StrEnum):
    """How an image becomes the network's input: padded to a square of `image_size`, or by its own shape.

    `aspect` keeps the shape: both sides are rounded to whole tokens and scaled until the image has between
    `min_pixels` and `max_pixels` pixels, as the published Qwen2.5-VL weights expect.
    """

    SQUARE = "square"
    ASPECT = "aspect"


class Stage(StrEnum):
    """The last training stage of a checkpoint: AR, then RAD (`base`), then DCD (`echo`) or T3D."""

    AR = "ar"
    BASE = "base"
    ECHO = "echo"
    T3D = "t3d"


_TEXT_SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads",
)  # fmt: skip
INSTRUCTION = "Describe the chest radiograph: findings by region, then the impression."
VIEWS = ("frontal", "lateral")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPolicy:
    """The words around a study's images. Without `chat_template` there are no turns and no `system` text."""

    instruction: str = INSTRUCTION
    system: str = ""
    chat_template: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """The sizes of a Qwen2.5-VL network, read from either form of its `config.json` (flat or nested)."""

    vocab_size: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    image_token_id: int
    vision_hidden: int
    vision_layers: int
    patch: int
    merge: int
    temporal_patch: int

    @classmethod
    def of(cls, network: Mapping[str, Any]) -> Self:
        """Raises: ConfigError if it is another kind of network, or a size is missing or impossible."""
        if network.get("model_type", MODEL_TYPE) != MODEL_TYPE:
            raise ConfigError(f"config.json describes {network['model_type']!r}, not {MODEL_TYPE!r}")
        text: Mapping[str, Any] = network.get("text_config") or network
        vision: Mapping[str, Any] = network.get("vision_config") or {}
        for name, part in (("text_config", text), ("vision_config", vision)):
            if not isinstance(part, Mapping):
                raise ConfigError(f"config.json: {name} must be a JSON object")
        try:
            problems = size_problems(
                {
                    **{name: text[name] for name in _TEXT_SIZES},
                    "depth": vision.get("depth", 32),
                    "vision hidden_size": vision["hidden_size"],
                    "vision num_heads": vision.get("num_heads", 16),
                    "patch_size": vision.get("patch_size", 14),
                    "spatial_merge_size": vision.get("spatial_merge_size", 2),
                    "temporal_patch_size": vision.get("temporal_patch_size", 2),
                },
                {"image_token_id": network["image_token_id"]},
            )
            if problems:
                raise ConfigError("config.json is wrong: " + "; ".join(problems))
            return cls(
                vocab_size=text["vocab_size"],
                hidden=text["hidden_size"],
                ffn=text["intermediate_size"],
                layers=text["num_hidden_layers"],
                heads=text["num_attention_heads"],
                kv_heads=text["num_key_value_heads"],
                head_dim=text["hidden_size"] // text["num_attention_heads"],
                tied=bool(network.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
                image_token_id=network["image_token_id"],
                vision_hidden=vision["hidden_size"],
                vision_layers=vision.get("depth", 32),
                patch=vision.get("patch_size", 14),
                merge=vision.get("spatial_merge_size", 2),
                temporal_patch=vision.get("temporal_patch_size", 2),
            )
        except KeyError as missing:
            raise ConfigError(f"config.json lacks {missing}; is it a Qwen2.5-VL configuration?") from missing


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A checkpoint's configuration; block size and mask token are properties of it, never constants.

    `network` is the Hugging Face `config.json`; every other field is in `echo_config.json`.
    `denoising_steps` is the number of forwards that a block needs (1: one-step ECHO); with a
    `confidence_threshold` a step commits every token at least that confident, and `denoising_steps` is
    then the most steps that a block may take. `image_size` is the side of the square input in pixels.
    `canonical`: trained on the wording of `model.findings.wording` alone, so any other sentence is broken.
    `reads_context`: indication and comparison were part of its training prompts; a model trained without them
    does not get them. `instructions` are texts by language, `language` names the one in use; `system` is the
    text of a system turn, if any; `chat_template` puts the prompt into turns.
    `image_order`: which view comes first. `min_pixels` and `max_pixels` bound an image's size where
    `size_policy` is `aspect`; `image_size` then has no effect.
    """

    network: Mapping[str, Any]
    block_size: int
    mask_token_id: int
    eos_token_id: int
    stage: Stage
    image_size: int
    denoising_steps: int = 1
    confidence_threshold: float | None = None
    block_anchor: BlockAnchor = BlockAnchor.RESPONSE
    prompt_attention: PromptAttention = PromptAttention.CAUSAL
    max_tokens: int = 256
    demonstration: bool = False
    canonical: bool = False
    reads_context: bool = True
    instructions: Mapping[str, str] = field(default_factory=lambda: {"en": INSTRUCTION})
    language: str = "en"
    system: str = ""
    chat_template: bool = True
    size_policy: SizePolicy = SizePolicy.SQUARE
    min_pixels: int = 56 * 56
    max_pixels: int = 1_003_520
    image_order: tuple[str, ...] = VIEWS
    name: str = "unnamed"
    version: str = "0"
    licence: str = ""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigError("the model configuration is wrong: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        shape = self.shape
        unit = shape.patch * shape.merge
        checks = {
            f"block_size {self.block_size} must be at least 1": self.block_size >= 1,
            f"mask_token_id {self.mask_token_id} is outside the vocabulary of {shape.vocab_size}": (
                0 <= self.mask_token_id < shape.vocab_size
            ),
            f"eos_token_id {self.eos_token_id} is outside the vocabulary of {shape.vocab_size}": (
                0 <= self.eos_token_id < shape.vocab_size
            ),
            "mask_token_id and eos_token_id are the same": self.mask_token_id != self.eos_token_id,
            f"denoising_steps {self.denoising_steps} must lie in 1..{self.block_size} (the block size)": (
                1 <= self.denoising_steps <= self.block_size
            ),
            f"confidence_threshold {self.confidence_threshold} must lie in (0, 1]": (
                self.confidence_threshold is None or 0.0 < self.confidence_threshold <= 1.0
            ),
            f"image_size {self.image_size} is not a multiple of {unit} (patch x merge)": (
                self.image_size > 0 and self.image_size % unit == 0
            ),
            "block_anchor sequence needs prompt_attention block: its first block holds the prompt's tail": (
                self.block_anchor is BlockAnchor.RESPONSE or self.prompt_attention is PromptAttention.BLOCK
            ),
            f"max_tokens {self.max_tokens} must be at least 1": self.max_tokens >= 1,
            f"language {self.language!r} has no text in instructions": bool(
                self.instructions.get(self.language, "").strip()
            ),
            f"image_order {list(self.image_order)} must name frontal and lateral once each": (
                sorted(self.image_order) == sorted(VIEWS)
            ),
            f"max_pixels {self.max_pixels} must be at least min_pixels and one token of {unit} x {unit}": (
                self.max_pixels >= max(self.min_pixels, unit * unit)
            ),
            "system has no effect without chat_template": self.chat_template or not self.system,
        }
        return [problem for problem, holds in checks.items() if not holds]

    @property
    def shape(self) -> NetworkShape:
        """The network's sizes."""
        return NetworkShape.of(self.network)

    @property
    def prompt(self) -> PromptPolicy:
        """The words around the images, in the language in use."""
        return PromptPolicy(
            instruction=self.instructions[self.language],
            system=self.system,
            chat_template=self.chat_template,
        )

    @property
    def image_tokens(self) -> int:
        """The most visual tokens of one image after merging; with square input every image has this many."""
        unit = self.shape.patch * self.shape.merge
        if self.size_policy is SizePolicy.ASPECT:
            return self.max_pixels // (unit * unit)
        return (self.image_size // unit) ** 2

    def sidecar(self) -> dict[str, Any]:
        """The content of `echo_config.json`: every field except the network's."""
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        del fields["network"]
        return {name: _plain(value) for name, value in fields.items()}

    @classmethod
    def from_sidecar(cls, network: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Self:
        """Merges the two files. Raises: ConfigError, with every problem in one text."""
        known = {one.name: one for one in dataclasses.fields(cls) if one.name != "network"}
        required = {
            name
            for name, one in known.items()
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        }
        problems = [f"unknown key {name!r}" for name in sorted(sidecar.keys() - known.keys())]
        problems += [f"missing key {name!r}" for name in sorted(required - sidecar.keys())]
        values = {name: value for name, value in sidecar.items() if name in known}
        enums: dict[str, type[StrEnum]] = {
            "stage": Stage,
            "block_anchor": BlockAnchor,
            "prompt_attention": PromptAttention,
            "size_policy": SizePolicy,
        }
        for name, kind in enums.items():
            if name in values:
                try:
                    values[name] = kind(values[name])
                except ValueError:
                    problems.append(f"{name} is {values[name]!r}, not one of {', '.join(kind)}")
        hints = get_type_hints(cls)
        problems += type_problems({n: v for n, v in values.items() if n not in enums}, hints)
        if problems:
            raise ConfigError("echo_config.json is wrong: " + "; ".join(problems))
        if "image_order" in values:
            values["image_order"] = tuple(values["image_order"])
        return cls(network=network, **values)


def _plain(value: object) -> object:
    """A field's JSON form."""
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def tiny_network(
    *,
    vocab_size: int,
    image_token_id: int,
    eos_token_id: int,
    hidden: int = 192,
    layers: int = 4,
    heads: int = 6,
    kv_heads: int = 2,
    ffn: int = 512,
    vision_hidden: int = 128,
    vision_layers: int = 4,
    vision_heads: int = 4,
    vision_ffn: int = 384,
    window: int | None = None,
) -> dict[str, Any]:
    """The `config.json` of a small network of the Qwen2.5-VL architecture.

    `window` is the side in pixels of the vision tower's attention windows, with full attention only in the
    last layer; None gives every layer full attention, which suits 36 visual tokens.
    """
    half = hidden // heads // 2  # rotary frequencies per head, shared out between time, height and width
    side = (half * 3) // 8
    sections = [half - 2 * side, side, side]
    full = list(range(vision_layers)) if window is None else [vision_layers - 1]
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "image_token_id": image_token_id,
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "qwen2_5_vl_text",
            "vocab_size": vocab_size,
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "bos_token_id": None,
            "eos_token_id": eos_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": sections},
        },
        "vision_config": {
            "model_type": "qwen2_5_vl_vision",
            "depth": vision_layers,
            "hidden_size": vision_hidden,
            "intermediate_size": vision_ffn,
            "num_heads": vision_heads,
            "out_hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": window or 112,
            "fullatt_block_indexes": full,
        },
    }


def tiny_config(
    *,
    vocab_size: int,
    image_token_id: int,
    mask_token_id: int,
    eos_token_id: int,
    block_size: int = 8,
    image_size: int = 168,
    stage: Stage = Stage.AR,
    network: Mapping[str, Any] | None = None,
    **fields: Any,
) -> ModelConfig:
    """The configuration of a small demonstration model; `fields` are further fields of `ModelConfig`."""
    network = network or tiny_network(
        vocab_size=vocab_size, image_token_id=image_token_id, eos_token_id=eos_token_id
    )
    fields = {
        "demonstration": True,
        "canonical": True,
        "reads_context": False,
        "denoising_steps": block_size,
        **fields,
    }
    return ModelConfig(
        network=network,
        block_size=block_size,
        mask_token_id=mask_token_id,
        eos_token_id=eos_token_id,
        stage=stage,
        image_size=image_size,
        **fields,
    )
