"""Predicts what a stage will need: the memory of each process, itemised, and the time.

Memory is computed from the network's sizes: what is stored (weights, gradients, the optimiser's moments),
what is gathered, and what a forward pass keeps for the backward pass. The calculation follows the code: RAD's
layout, FSDP's units, one float32 copy of the logits that a loss reads. A test compares it with measured
peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.network.config import ModelConfig, NetworkShape
from model.network.flops import TextShape, attention_flops, linear_flops
from model.train.config import RadConfig, RolloutConfig, StageConfig, T3dConfig, TrainingConfig

_PROMPT_TEXT = 60  # tokens of instruction and turns, and of a usual indication
_ADAM = 8  # bytes of the two float32 moments
# Peak dense bfloat16 rates in FLOP/s and memory in bytes of the GPUs that a plan may be made for.
GPUS = {"h100": (989e12, 80e9), "h200": (989e12, 141e9), "a100": (312e12, 80e9)}
_EFFICIENCY = 0.4  # of the peak rate, as well-run training of this size reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of one process. answer: tokens of the longest answer in a batch."""

    prompt: int
    answer: int
    micro_batch: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """parts: bytes of one process by purpose; flops: of a step in all processes.

    disk: bytes of the visual tokens of 1,000 studies; 0 if they are not stored on disk.
    """

    stage: str
    load: Load
    parts: Mapping[str, int]
    disk: int
    flops: float
    steps: int

    @property
    def bytes(self) -> int:
        """The peak of one process, without the libraries' own memory."""
        return sum(self.parts.values())

    def hours(self, rate: float) -> float:
        """The duration at this many FLOP/s in each process."""
        return self.flops * self.steps / (rate * self.load.processes) / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Numbers of parameters: one decoder layer, the decoder's rest, the tower, a layer's adapters."""

    layer: int
    rest: int
    vision: int
    adapters: int

    @classmethod
    def of(cls, shape: NetworkShape, total: int, config: StageConfig) -> Weights:
        """total: of the whole network."""
        hidden, kv = shape.hidden, shape.kv_heads * shape.head_dim
        width = shape.heads * shape.head_dim
        layer = hidden * (width + 2 * kv) + width * hidden + 3 * hidden * shape.ffn
        layer += width + 2 * kv + 2 * hidden
        rest = (1 if shape.tied else 2) * shape.vocab_size * hidden + hidden
        sizes = {
            "q_proj": hidden + width, "k_proj": hidden + kv, "v_proj": hidden + kv, "o_proj": width + hidden,
            "gate_proj": hidden + shape.ffn, "up_proj": hidden + shape.ffn, "down_proj": shape.ffn + hidden,
        }  # fmt: skip
        lora = config.lora
        adapters = 0 if lora is None else lora.rank * sum(sizes.get(name, 0) for name in lora.targets)
        return cls(layer=layer, rest=rest, vision=total - layer * shape.layers - rest, adapters=adapters)


def plan_stage(
    name: str, recipe: TrainingConfig, config: StageConfig, model: ModelConfig, total: int, processes: int
) -> Plan:
    """Plans a text stage of a network of `total` parameters."""
    share = config.batch // processes
    load = Load(
        prompt=model.image_tokens * 2 + _PROMPT_TEXT,
        answer=-(-min(model.max_tokens, 160) // model.block_size) * model.block_size,
        micro_batch=min(config.micro_batch or share, share),
        processes=processes,
    )
    return plan_load(name, recipe, config, model.shape, total, load)


def plan_load(
    name: str, recipe: TrainingConfig, config: StageConfig, shape: NetworkShape, total: int, load: Load
) -> Plan:
    """Like `plan_stage`, for given lengths."""
    weights = Weights.of(shape, total, config)
    half = recipe.precision == "bfloat16"
    kept = _kept(config, shape, weights, load.processes, half=half)
    if isinstance(config, T3dConfig) and config.lora is None:
        kept["reference copy"] = (weights.layer * shape.layers + weights.rest) * (2 if half else 4)
    tokens = load.prompt + (1 + copies_of(config, name)) * load.answer
    activations = _activations(shape, load.micro_batch * tokens, recipe.checkpoint_activations, half=half)
    attention = load.micro_batch * tokens * tokens
    predicted = load.micro_batch * load.answer * (1 if not isinstance(config, T3dConfig) else 2)
    logits = predicted * shape.vocab_size * ((2 if half else 0) + 3 * 4)
    parts = kept | {"activations": activations, "masks": attention, "logits": logits}
    flops = _flops(recipe, config, shape, weights, load, tokens)
    disk = _disk(recipe, shape, load.prompt) if config.freeze_vision else 0
    return Plan(stage=name, load=load, parts=parts, disk=disk, flops=flops, steps=config.steps)


def _disk(recipe: TrainingConfig, shape: NetworkShape, prompt: int) -> int:
    """Bytes of 1,000 studies' visual tokens on disk, in bfloat16."""
    return 1000 * (prompt - _PROMPT_TEXT) * shape.hidden * 2 if recipe.features == "disk" else 0


def copies_of(config: StageConfig, name: str) -> int:
    """Noisy copies of the answer, in addition to the clean one."""
    if name == "ar":
        return 0
    if isinstance(config, RadConfig):
        return 2 if config.complementary else 1
    return 2 if isinstance(config, T3dConfig) else 1


def _kept(
    config: StageConfig, shape: NetworkShape, weights: Weights, processes: int, *, half: bool
) -> dict[str, int]:
    """Bytes of weights, gradients and moments of one process."""
    layers = weights.layer * shape.layers
    vision = 0 if config.freeze_vision else weights.vision
    small = 2 if half else 4
    sharded = half or processes > 1
    if config.lora is not None:
        trained = weights.adapters * shape.layers
        frozen = small * (layers // processes + weights.rest + weights.vision)
        gathered = (
            (small * 2 * (weights.layer + weights.adapters)) if processes > 1 else small * weights.adapters
        )
    else:
        trained = layers + weights.rest + vision
        frozen = small * (weights.vision - vision)
        # The rest is unsharded for the whole step, and two layers at a time; plus one layer's gradient.
        gathered = small * (weights.rest + vision + 2 * weights.layer) if sharded else 0
        gathered += small * (weights.rest + vision + weights.layer) if sharded else 0
    return {
        "trained weights": 4 * trained // processes,
        "frozen weights": frozen,
        "gradients": 4 * trained // processes,
        "optimiser": _ADAM * trained // processes,
        "gathered": gathered,
    }


def _activations(shape: NetworkShape, tokens: int, checkpointed: bool, *, half: bool) -> int:
    """Bytes that the decoder's layers keep for the backward pass over this many tokens.

    A layer keeps its input, two normalised states (each before and after its scale; in half precision the
    former in float32), queries, keys and values with the keys repeated for every head, the attention's
    output, and four times the wide layer. With checkpointing a layer keeps only its input, and one layer at a
    time is complete.
    """
    hidden, ffn, width = shape.hidden, shape.ffn, shape.heads * shape.head_dim
    small = 2 if half else 4
    norms = 2 * hidden * (small + (2 * 4 if half else 4))
    layer = norms + small * (2 * hidden + 5 * width + 4 * ffn)
    if checkpointed:
        # While a layer is recomputed, its gradients exist together with its states.
        return tokens * (small * hidden * (shape.layers + 1) + layer + small * 3 * ffn)
    return tokens * (layer * shape.layers + small * 3 * ffn)


def _flops(
    recipe: TrainingConfig,
    config: StageConfig,
    shape: NetworkShape,
    weights: Weights,
    load: Load,
    tokens: int,
) -> float:
    """FLOPs of a step over the whole batch, with attention counted densely."""
    text = TextShape.of(shape)
    predicted = load.answer * (2 if isinstance(config, T3dConfig) else 1)
    forward = linear_flops(text, tokens, predicted) + attention_flops(text, tokens * tokens)
    # Forward pass, gradients of states, and of weights unless these are frozen; checkpointing repeats the
    # forward pass.
    times = (2.0 if config.lora is not None else 3.0) + (1.0 if recipe.checkpoint_activations else 0.0)
    if isinstance(config, T3dConfig):
        times += 1.0
    vision = 2.0 * weights.vision * load.prompt * shape.merge**2
    looks = 3.0 if not config.freeze_vision else float(recipe.features == "none")
    return float(config.batch) * (forward * times + vision * looks)


def plan_recipe(recipe: TrainingConfig, stage: str, model: ModelConfig, total: int, processes: int) -> Plan:
    """The plan of one stage of a recipe."""
    section = getattr(recipe, stage)
    if isinstance(section, RolloutConfig):
        return _plan_rollout(recipe, section, model, total, processes)
    assert isinstance(section, StageConfig)
    return plan_stage(stage, recipe, section, model, total, processes)


def _plan_rollout(
    recipe: TrainingConfig, config: RolloutConfig, model: ModelConfig, total: int, processes: int
) -> Plan:
    """Every process holds the whole teacher and decodes its own batch."""
    shape, small = model.shape, 2 if recipe.precision == "bfloat16" else 4
    vision = Weights.of(shape, total, StageConfig(steps=1, batch=1, rate=1.0)).vision
    load = Load(
        prompt=model.image_tokens * 2 + _PROMPT_TEXT,
        answer=min(model.max_tokens, 160),
        micro_batch=config.batch,
        processes=processes,
    )
    tokens = load.prompt + load.answer
    cache = 2 * shape.layers * shape.kv_heads * shape.head_dim * small * tokens * config.batch
    states = config.batch * load.prompt * small * (4 * shape.hidden + 3 * shape.ffn)
    parts = {
        "weights": total * small * (1 if config.student is None else 2),
        "cache": cache * (1 if config.student is None else 2),
        "activations": states,
        "logits": config.batch * model.block_size * shape.vocab_size * 4 * 3,
    }
    text = TextShape.of(shape)
    steps = 3.0  # forward passes per block, including the commit
    flops = linear_flops(text, load.prompt, 0) + steps * linear_flops(text, load.answer, load.answer)
    if recipe.features == "none":
        flops += 2.0 * vision * load.prompt * shape.merge**2
    return Plan(
        stage="rollout",
        load=load,
        parts=parts,
        disk=_disk(recipe, shape, load.prompt),
        flops=flops * config.batch,
        steps=-(-config.examples // config.batch),
    )


def lines_of(plan: Plan, rate: float, memory: float) -> list[str]:
    """The plan for a person. rate: FLOP/s reached by one process; memory: its memory in bytes."""
    load = plan.load
    lines = [
        f"{plan.stage}: {load.processes} process(es), {load.micro_batch} studies a forward, prompt "
        f"{load.prompt} + answer {load.answer} tokens"
    ]
    lines += [f"  {name:18}{size / 1e9:9.2f} GB" for name, size in plan.parts.items() if size]
    verdict = "fits" if plan.bytes < 0.92 * memory else "DOES NOT FIT"
    lines.append(f"  {'peak per process':18}{plan.bytes / 1e9:9.2f} GB of {memory / 1e9:.0f} GB: {verdict}")
    if plan.disk:
        lines.append(f"  {'visual tokens':18}{plan.disk / 1e9:9.2f} GB on disk for 1,000 studies")
    seconds = plan.flops / (rate * load.processes)
    lines.append(f"  {plan.steps} steps of {seconds:.2f} s = {plan.hours(rate):.1f} h")
    return lines


def reached(gpu: str) -> tuple[float, float]:
    """FLOP/s that training reaches on a GPU, and its memory in bytes."""
    rate, memory = GPUS[gpu]
    return rate * _EFFICIENCY, memory


def sections(recipe: TrainingConfig) -> list[str]:
    """The stages that can be planned."""
    names = ("ar", "rad", "rollout", "dcd", "t3d")
    return [name for name in names if getattr(recipe, name) is not None]
