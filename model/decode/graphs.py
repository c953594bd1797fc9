"""A step of fixed shape as a CUDA graph: one launch instead of hundreds."""

from __future__ import annotations

from collections.abc import Callable

import torch

from model.decode.slots import Slots

_WARM_UP_RUNS = 2  # libraries allocate their workspaces on the first runs, which a capture must not see


def capture(forward: Callable[[], None], state: Slots) -> Callable[[], None]:
    """Records `forward` and returns its replay; only on a CUDA device.

    state: the tensors that `forward` changes in place. The warm-up advances every slot, so they are restored
    afterwards; its entries in the key-value cache lie after the committed tokens.
    """
    kept = state.copy()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_RUNS):
            forward()
    torch.cuda.current_stream().wait_stream(stream)
    state.put(slice(None), kept)

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        forward()
    return graph.replay
