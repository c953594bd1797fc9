"""The decoder's layers for inference: the same arithmetic as transformers' modules in fewer and faster steps.

Query, key and value are one matrix, gate and up another; the rotary positions are computed once for all
layers. On a CPU each matrix is stored in the order in which oneDNN reads it, which doubles the speed for the
few rows of a decoding step. Weights are moved, not copied: the network can no longer be trained or saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network.cache import KeyValueStore

# How a matrix `[out, in]` with its bias becomes a function of rows `[..., in]` -> `[..., out]`.
MakeLinear = Callable[[Tensor, Tensor | None], Callable[[Tensor], Tensor]]


def plain_linear(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The matrix as it is."""
    return lambda rows: functional.linear(rows, weight, bias)


def packed_linear(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The matrix in oneDNN's own order; on a CPU only."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    multiply = torch.ops.mkldnn._linear_pointwise

    def linear(rows: Tensor) -> Tensor:
        product: Tensor = multiply(rows, packed, bias, "none", [], "")
        return product

    return linear


def choose_linear(device: torch.device) -> MakeLinear:
    """Packed if oneDNN is available, as on every x86 CPU; otherwise plain."""
    packs = device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return packed_linear if packs else plain_linear


class InferenceDecoder:
    """The text model's layers, its last norm and its head.

    text: transformers' text model, head: the language model's head; both lose their matrices.
    """

    def __init__(self, text: Any, head: nn.Linear, make: MakeLinear, *, tied: bool) -> None:
        self._rotary, self._norm = text.rotary_emb, _norm(text.norm)
        self._layers = [
            _Layer(
                layer, make, head_dim=layer.self_attn.head_dim, groups=layer.self_attn.num_key_value_groups
            )
            for layer in _giving_up(text.layers)
        ]
        self.head = make(head.weight.detach(), None)
        if not tied:  # a tied head is the embedding, which stays
            head.weight = nn.Parameter(head.weight.new_empty(0), requires_grad=False)

    def hidden(
        self,
        embeds: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: KeyValueStore | None,
        rows: slice = slice(None),
    ) -> Tensor:
        """The last layer's normalised states of `rows`, `[S, len, D]`; arguments as in `Backbone.hidden`.

        For the other rows the last layer only computes keys and values.
        """
        cos, sin = self._rotary(embeds, positions)  # [S, q, d]
        low, high = sin.chunk(2, dim=-1)
        places = cos[:, :, None], torch.cat([-low, high], dim=-1)[:, :, None]  # [S, q, 1, d]
        # A boolean mask would be turned into numbers once for each layer.
        added = torch.zeros_like(mask, dtype=embeds.dtype).masked_fill_(~mask, -torch.inf)
        folded = mask.shape[-1] > 2 * mask.shape[-2]  # few rows against a long cache
        groups = self._layers[0].groups if folded else 1
        whole = added.repeat(1, groups, 1)[:, None]  # [S, 1, groups * q, k]
        hidden = embeds
        for index, layer in enumerate(self._layers[:-1]):
            hidden = layer(hidden, places, whole, cache, index, folded=folded)
        last = whole if rows == slice(None) else added[:, rows].repeat(1, groups, 1)[:, None]
        hidden = self._layers[-1](
            hidden, places, last, cache, len(self._layers) - 1, folded=folded, rows=rows
        )
        return self._norm(hidden)


class _Layer:
    def __init__(self, layer: Any, make: MakeLinear, *, head_dim: int, groups: int) -> None:
        attention, wide = layer.self_attn, layer.mlp
        three = [attention.q_proj, attention.k_proj, attention.v_proj]
        self._qkv = make(
            torch.cat([one.weight.detach() for one in three]), torch.cat([one.bias.detach() for one in three])
        )
        self._out = make(attention.o_proj.weight.detach(), None)
        self._gate_up = make(torch.cat([wide.gate_proj.weight.detach(), wide.up_proj.weight.detach()]), None)
        self._down = make(wide.down_proj.weight.detach(), None)
        self._before_attention = _norm(layer.input_layernorm)
        self._before_wide = _norm(layer.post_attention_layernorm)
        self._head_dim, self.groups = head_dim, groups
        self._kv_heads = attention.k_proj.out_features // head_dim

    def __call__(
        self,
        hidden: Tensor,
        places: tuple[Tensor, Tensor],
        mask: Tensor,
        cache: KeyValueStore | None,
        index: int,
        *,
        folded: bool,
        rows: slice = slice(None),
    ) -> Tensor:
        kv_heads, groups = self._kv_heads, self.groups
        qkv = self._qkv(self._before_attention(hidden))
        qkv = qkv.view(*qkv.shape[:2], -1, self._head_dim)
        turned = _turn(qkv[:, :, :-kv_heads], *places)  # [S, q, heads + KV heads, d]
        query = turned[:, :, :-kv_heads].transpose(1, 2)  # [S, heads, q, d]
        key, value = turned[:, :, -kv_heads:].transpose(1, 2), qkv[:, :, -kv_heads:].transpose(1, 2)
        if cache is not None:
            key, value = cache.update(key, value, index)  # [S, KV heads, k, d]
        hidden, query = hidden[:, rows], query[:, :, rows]
        samples, count, _ = hidden.shape
        if not count:
            return hidden
        if folded:  # the query heads of one KV head become rows of one query, so each key is read once
            query = query.reshape(samples, kv_heads, groups * count, self._head_dim)
        else:
            key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = seen.reshape(samples, kv_heads * groups, count, self._head_dim).transpose(1, 2)
        hidden = hidden + self._out(seen.flatten(2))
        gate, up = self._gate_up(self._before_wide(hidden)).chunk(2, dim=-1)
        return hidden + self._down(functional.silu(gate) * up)


def _turn(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of `[S, q, heads, d]`; `sin` has the sign of the half that it is applied to."""
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, dims=-1), sin)


def _norm(module: Any) -> Callable[[Tensor], Tensor]:
    weight, epsilon = module.weight.detach(), module.variance_epsilon
    return lambda rows: functional.rms_norm(rows, weight.shape, weight, epsilon)


def _giving_up(layers: nn.ModuleList) -> Iterator[Any]:
    """The layers in turn; each is freed before the next is taken."""
    while layers:
        yield layers[0]
        del layers[0]


class _Linear(nn.Module):
    """Replaces an `nn.Linear`."""

    def __init__(self, linear: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._linear = linear

    def forward(self, rows: Tensor) -> Tensor:
        """Rows `[..., in]` -> `[..., out]`."""
        return self._linear(rows)


def replace_linears(module: nn.Module, make: MakeLinear) -> None:
    """Replaces every `nn.Linear` inside `module` by `make`'s function."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            bias = None if child.bias is None else child.bias.detach()
            setattr(module, name, _Linear(make(child.weight.detach(), bias)))
        else:
            replace_linears(child, make)
