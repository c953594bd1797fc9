"""The machine's limits: measured bandwidth and matmul rates, and from them the minimum time of a forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.network.cache import BlockCache
from model.network.config import NetworkShape
from model.network.inference import MakeLinear, plain_linear

WORKING_SET = 1 << 28  # bytes: far more than any cache holds
REHEARSED = 1 << 20  # bytes: enough where only the code path counts
_TRIES = 5


def synchronise(device: torch.device) -> None:
    """Waits for the device, so that a clock read afterwards is meaningful."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_seconds(work: Callable[[], object], device: torch.device, tries: int = _TRIES) -> float:
    """The shortest of several runs, after one that is not counted."""
    work()
    best = float("inf")
    for _ in range(tries):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - started)
    return best


@dataclass(slots=True, kw_only=True)
class Machine:
    """A device's limits for one type of number. bandwidth: bytes/s; rates: FLOP/s by number of rows.

    working_set: bytes that a measurement goes through.
    """

    device: torch.device
    dtype: torch.dtype
    shape: NetworkShape
    makes: tuple[MakeLinear, ...]
    working_set: int = WORKING_SET
    bandwidth: float = 0.0
    rates: dict[int, float] = field(default_factory=dict)

    def measure_bandwidth(self) -> None:
        """Reads a large buffer: the best of a sum and of a copy."""
        buffer = torch.ones(self.working_set // 4, device=self.device)
        copied = torch.empty_like(buffer)
        reading = self.working_set / best_seconds(buffer.sum, self.device)
        copying = 2 * self.working_set / best_seconds(lambda: copied.copy_(buffer), self.device)
        self.bandwidth = max(reading, copying)

    def rate(self, rows: int) -> float:
        """FLOP/s of matrices of this network's shapes times `rows` rows, each matrix read from memory."""
        if rows not in self.rates:
            self.rates[rows] = max(self._rate(make, rows) for make in self.makes)
        return self.rates[rows]

    def _rate(self, make: MakeLinear, rows: int) -> float:
        sizes = [(one.out, one.into) for one in layer_matrices(self.shape)]
        weights = sum(out * into for out, into in sizes)
        layers = max(1, self.working_set // (weights * self.dtype.itemsize))
        stack: list[tuple[Callable[[Tensor], Tensor], Tensor]] = []
        for out, into in sizes * layers:
            weight = torch.randn(out, into, device=self.device, dtype=self.dtype)
            states = torch.randn(1, rows, into, device=self.device, dtype=self.dtype)
            stack.append((make(weight, None), states))

        def multiply() -> None:
            for linear, states in stack:
                linear(states)

        with torch.inference_mode():
            return 2.0 * rows * weights * layers / best_seconds(multiply, self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One matrix of a layer."""

    out: int
    into: int


def layer_matrices(shape: NetworkShape) -> list[Matrix]:
    """Query with key and value, output, gate with up, down."""
    keys = shape.kv_heads * shape.head_dim
    return [
        Matrix(out=shape.hidden + 2 * keys, into=shape.hidden),
        Matrix(out=shape.hidden, into=shape.hidden),
        Matrix(out=2 * shape.ffn, into=shape.hidden),
        Matrix(out=shape.hidden, into=shape.ffn),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """One forward: rows in the layers, in the last layer behind its keys and values, in the head; context.

    columns: cached tokens that a row sees, on average; slots: reports.
    """

    rows: int
    head_rows: int
    slots: int
    columns: float


def floor_seconds(machine: Machine, forward: Forward) -> float:
    """The minimum time of a forward: for each part the longer of reading its bytes and doing its
    arithmetic.
    """
    shape = machine.shape
    first, *rest = [one.out * one.into for one in layer_matrices(shape)]
    layer = first + sum(rest)
    keys = forward.columns * forward.slots * BlockCache.bytes_per_token(shape, machine.dtype)
    attention = 4.0 * forward.rows * forward.columns * shape.hidden * shape.layers
    parts = [
        (layer * (shape.layers - 1) + first, forward.rows),
        (sum(rest) + shape.vocab_size * shape.hidden, forward.head_rows),
    ]
    seconds = max(keys / machine.bandwidth, attention / machine.rate(forward.rows))
    for weights, rows in parts:
        if rows:
            arithmetic = 2.0 * weights * rows / machine.rate(rows)
            seconds += max(weights * machine.dtype.itemsize / machine.bandwidth, arithmetic)
    return seconds


def makes_to_compare(chosen: MakeLinear) -> tuple[MakeLinear, ...]:
    """The kernel in use and torch's own: the better one sets the limit."""
    return (plain_linear,) if chosen is plain_linear else (chosen, plain_linear)
