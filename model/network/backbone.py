"""The network: transformers' Qwen2.5-VL, run by our own forward. The only module that imports transformers.

Every forward gets its mask and its positions explicitly and holds no state between calls: transformers'
own forward silently turns causal without a mask over a cache, adds a boolean mask in eager attention,
and keeps `rope_deltas` on the module. The layers, and so the parameters and their names, are
transformers'; attention is SDPA throughout.

Training in short (`S` samples, prompt `P`, response `R`):

    features = backbone.encode_images(batch.pixel_values, batch.grid_thw)
    positions = backbone.positions(batch.input_ids, batch.grid_thw, batch.valid)        # [3, S, P]
    answer = text_positions(next_positions(positions, batch.valid), R)                  # [3, S, R]
    embeds = backbone.embed(torch.cat([batch.input_ids, clean, noisy], 1), features)    # [S, P+2R, D]
    mask = rad_mask_batch(batch.valid, response_valid, block_size)                      # [S, P+2R, P+2R]
    logits = backbone(embeds, torch.cat([positions, answer, answer], 2), mask, rows=masked)  # [n, V]
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.initialization import no_init_weights
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from model.errors import ConfigError
from model.network.cache import KeyValueStore
from model.network.config import NetworkShape
from model.network.inference import InferenceDecoder, MakeLinear, choose_linear, replace_linears
from model.network.positions import mrope_positions
from model.network.vision import WindowPlan, plan_windows


class Backbone(nn.Module):
    """Qwen2.5-VL: vision tower, projector, decoder and head, batched.

    `network` is transformers' module, whose `state_dict` has the Hugging Face names.
    """

    def __init__(self, network: Qwen2_5_VLForConditionalGeneration) -> None:
        super().__init__()
        self.network = network
        self.shape = NetworkShape.of(network.config.to_dict())
        self._decoder: InferenceDecoder | None = None

    @classmethod
    def from_config(
        cls, network: Mapping[str, Any], dtype: torch.dtype = torch.float32, *, initialise: bool = True
    ) -> Backbone:
        """A network on torch's default device, with fresh weights from torch's default generator.

        network: a Hugging Face `config.json`, flat or nested. Without `initialise` the weights are
        uninitialised memory, to be loaded afterwards.
        """
        # A copy, because transformers modifies the objects that it is given.
        config = Qwen2_5_VLConfig(**copy.deepcopy(dict(network)))
        config._attn_implementation = _ATTENTION  # eager would add boolean masks instead of applying them
        with nullcontext() if initialise else no_init_weights():
            module = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=dtype)
        module.tie_weights()  # skipped with the initialisation; without effect on an untied head
        return cls(module)

    @classmethod
    def tensor_shapes(cls, network: Mapping[str, Any]) -> dict[str, torch.Size]:
        """Names and shapes of all weights that a configuration needs; no memory is taken.

        A tied head has no tensor of its own. Raises: ConfigError where transformers cannot build the network.
        """
        try:
            with torch.device("meta"):
                skeleton = cls.from_config(network, initialise=False)
        except _UNBUILDABLE as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"config.json describes no network that can be built: {reason}") from error
        shapes = {name: tensor.shape for name, tensor in skeleton.network.state_dict().items()}
        if skeleton.shape.tied:
            del shapes["lm_head.weight"]
        return shapes

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.network.model.language_model.embed_tokens.weight.device  # type: ignore[no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type, and that of keys and values."""
        return self.network.model.language_model.embed_tokens.weight.dtype  # type: ignore[no-any-return]

    def freeze_vision(self) -> None:
        """Stops the training of the vision tower and its projector (RAD and DCD)."""
        self.network.model.visual.requires_grad_(False)

    def prepare_for_inference(self, make: MakeLinear | None = None) -> None:
        """Moves the weights into the form that decodes fastest; no training and no saving after this.

        make: how to convert a matrix of the layers and the head; by default, and always for the vision tower,
        the form that suits the device.
        """
        suited = choose_linear(self.device)
        make, model = make or suited, self.network.model
        self._decoder = InferenceDecoder(
            model.language_model, self.network.lm_head, make, tied=self.shape.tied
        )
        replace_linears(model.visual, suited)

    # ---- input ----

    def encode_images(self, pixel_values: Tensor, grid_thw: Tensor) -> Tensor:
        """Visual tokens of all images, in order: `[tokens, D]`.

        pixel_values: `[patches, C*T*p*p]`; grid_thw: int `[images, 3]` in patches. Adjacent images of equal
        size run as one batch.
        """
        sizes = [tuple(size) for size in grid_thw.tolist()]
        features, first, patch = [], 0, 0
        while first < len(sizes):
            last = first
            while last < len(sizes) and sizes[last] == sizes[first]:
                last += 1
            frames, rows, columns = sizes[first]
            count = (last - first) * frames  # the tower never attends from one frame to another
            group = pixel_values[patch : patch + count * rows * columns]
            features.append(self._encode_equal(group.view(count, rows * columns, -1), rows, columns))
            first, patch = last, patch + count * rows * columns
        return torch.cat(features)

    def embed(self, input_ids: Tensor, image_features: Tensor | None = None) -> Tensor:
        """Embeddings `[S, T, D]` of ids `[S, T]`; the image placeholders become `image_features` `[n, D]`."""
        embeds: Tensor = self.network.model.language_model.embed_tokens(input_ids)
        if image_features is None:
            return embeds
        places = (input_ids == self.shape.image_token_id)[..., None]
        return embeds.masked_scatter(places, image_features.to(embeds.dtype))

    def positions(self, input_ids: Tensor, grid_thw: Tensor, valid: Tensor) -> Tensor:
        """M-RoPE positions `[3, S, T]` of padded prompts; see `model.network.positions`."""
        return mrope_positions(input_ids, valid, grid_thw, self.shape.image_token_id, self.shape.merge)

    # ---- decoder ----

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: KeyValueStore | None = None,
        rows: Tensor | slice | None = None,
    ) -> Tensor:
        """Logits of the requested rows.

        embeds: `[S, q, D]`; positions: int `[3, S, q]`; mask: bool `[S, q, k]`, True = attend, k being q
        or, with a cache, what the cache gives back. rows: a slice of q, giving `[S, len, V]`; a bool
        mask `[S, q]` or an int index `[n]` into the flattened `S*q`, giving `[n, V]`; None is all rows.
        """
        if self._decoder is not None and isinstance(rows, slice):
            return self.head(self._decoder.hidden(embeds, positions, mask, cache, rows))
        hidden = self.hidden(embeds, positions, mask, cache)  # [S, q, D]
        if isinstance(rows, slice):
            hidden = hidden[:, rows]
        elif rows is not None:
            hidden = hidden[rows] if rows.dtype == torch.bool else hidden.flatten(0, 1)[rows]
        return self.head(hidden)

    def hidden(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, cache: KeyValueStore | None = None
    ) -> Tensor:
        """The last layer's normalised states `[S, q, D]`; arguments as in `forward`."""
        if self._decoder is not None:
            return self._decoder.hidden(embeds, positions, mask, cache)
        text = self.network.model.language_model
        rotary = text.rotary_emb(embeds, positions)
        if mask.shape[-1] > 2 * mask.shape[-2]:  # few rows against a long cache: see _grouped_attention
            mask = mask.repeat(1, self.shape.heads // self.shape.kv_heads, 1)
        mask = mask[:, None]  # [S, 1, q or groups * q, k]: the same for all heads
        hidden = embeds
        for layer in text.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_embeddings=rotary,
                past_key_values=cache,
                use_cache=False,
            )
        states: Tensor = text.norm(hidden)
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `[..., V]` of states `[..., D]`."""
        head = self.network.lm_head if self._decoder is None else self._decoder.head
        logits: Tensor = head(hidden)
        return logits

    # ---- vision tower ----

    def _encode_equal(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """Visual tokens `[images * tokens, D]` of images of one size, `[images, patches, C*T*p*p]`."""
        tower = self.network.model.visual
        unit = self.shape.merge**2
        window = tower.window_size // (self.shape.merge * self.shape.patch)
        plan = plan_windows(rows, columns, self.shape.merge, window, pixels.device)

        weight = tower.patch_embed.proj.weight  # a convolution whose kernel is one patch is a linear map
        hidden = functional.linear(pixels.to(weight.dtype), weight.flatten(1))  # [images, patches, d]
        hidden = hidden.view(len(pixels), -1, unit, hidden.shape[-1])[:, plan.order].flatten(1, 2)
        cos, sin = tower.rotary_pos_emb(hidden, plan.places)  # [patches, head dim]
        for index, block in enumerate(tower.blocks):
            local = None if index in tower.fullatt_block_indexes else plan
            hidden = hidden + _vision_attention(block.attn, block.norm1(hidden), cos, sin, local)
            hidden = hidden + block.mlp(block.norm2(hidden))
        tokens: Tensor = tower.merger(hidden.flatten(0, 1)).view(len(pixels), len(plan.order), -1)
        return tokens[:, plan.inverse].flatten(0, 1)


def _grouped_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **kwargs: Any
) -> tuple[Tensor, None]:
    """SDPA that reads each cached key once: the query heads that share a KV head become rows of one query.

    transformers repeats keys and values for every query head, which for a few rows against a long cache
    copies far more than attention reads. It needs a mask of `groups * q` rows.
    query: `[S, heads, q, d]`; key, value: `[S, KV heads, k, d]`; returns `[S, q, heads, d]`.
    """
    slots, heads, rows, width = query.shape
    if attention_mask.shape[-2] == rows:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    folded = query.reshape(slots, key.shape[1], -1, width)  # [S, KV heads, groups * q, d]
    out = functional.scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask)
    return out.reshape(slots, heads, rows, width).transpose(1, 2), None


_ATTENTION = "echo_grouped_sdpa"
# The exceptions that transformers and torch raise for an impossible configuration; they have no common class.
_UNBUILDABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, StrictDataclassError,
    TypeError, ValueError,
)  # fmt: skip
AttentionInterface.register(_ATTENTION, _grouped_attention)


def _vision_attention(
    attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor, plan: WindowPlan | None
) -> Tensor:
    """Attention over whole images `[images, patches, d]`, or inside the windows of `plan`."""
    images, patches, _ = hidden.shape
    qkv = attention.qkv(hidden).view(images, patches, 3, attention.num_heads, -1)
    q, k, v = qkv.unbind(2)  # each [images, patches, heads, head dim]
    q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    mask = None
    if plan is not None:
        # [images, heads, patches, .] -> [images * windows, heads, size, .]
        q, k, v = (t[:, :, plan.members].permute(0, 2, 1, 3, 4).flatten(0, 1) for t in (q, k, v))
        if plan.present is not None:
            mask = plan.present[:, None, None, :].repeat(images, 1, 1, 1)
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = out.transpose(1, 2).reshape(images, -1, attention.dim)  # [images, patches or windows * size, d]
    if plan is not None:
        out = out[:, plan.source]
    projected: Tensor = attention.proj(out)
    return projected


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding in float32: x `[images, patches, heads, d]`, cos and sin `[patches, d]`."""
    wide, cos, sin = x.float(), cos[:, None], sin[:, None]
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)
