"""Muon without bfloat16 instructions: the same steps, with products in float32."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Muon
from torch.utils._python_dispatch import TorchDispatchMode

from model.train.config import StageConfig
from model.train.optimizers import Float32Muon, build_optimizers


def _gradients(module: nn.Module) -> None:
    chance = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=chance)


def test_float32_products_make_the_same_step() -> None:
    """They agree within the rounding of bfloat16 products in different orders; the weights stay float32."""
    moved = []
    for make in (Muon, Float32Muon):
        torch.manual_seed(0)
        line = nn.Linear(48, 96, bias=False)
        before = line.weight.detach().clone()
        _gradients(line)
        make(line.parameters(), lr=0.1, adjust_lr_fn="match_rms_adamw").step()
        moved.append(line.weight.detach() - before)

    assert moved[1].dtype == torch.float32
    torch.testing.assert_close(moved[1], moved[0], rtol=0.05, atol=0.02 * float(moved[0].abs().max()))


def test_every_product_of_a_step_is_in_float32() -> None:
    """The products are observed below the mode that converts them."""
    seen: list[torch.dtype] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
                seen.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    line = nn.Linear(8, 4, bias=False)
    _gradients(line)
    with Watch():
        Float32Muon(line.parameters(), lr=0.1).step()

    assert set(seen) == {torch.float32}
    assert len(seen) == 15  # five iterations of three products


def test_vectors_and_embeddings_are_adamws() -> None:
    """Muon gets only the matrices of the layers."""
    module = nn.ModuleDict({"embed": nn.Embedding(9, 4), "line": nn.Linear(4, 4), "head": nn.Linear(4, 9)})
    config = StageConfig(steps=1, batch=1, rate=1e-3, optimizer="muon")

    adamw, muon = build_optimizers(module, config)

    assert isinstance(muon, Muon)
    assert [p.shape for group in muon.param_groups for p in group["params"]] == [(4, 4)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 4
