"""Continuous batching: many reports through a fixed number of slots, one forward of fixed shape at a time.

Every step takes for each slot the clean block n-1 and the current block n, 2B rows: the commit of the
one and a denoising step of the other (`model.decode.steps` has other ways too). Slots are at different
places of their reports, and may need different numbers of steps per block; a block that needs more steps is
simply run again with the same clean block. A slot whose report has ended takes the next prompt, whose prefill
includes the first block. Urgent reports are taken first, and take the slots of those that yield. Tokens are
those of `decode_fused`, whatever the batch, the order of arrival and the slot.

On a GPU the forward is a CUDA graph, and whether a report has ended is read from a copy that is one step
old, so that the device never waits for the host.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.decode.encode import encode_prompts
from model.decode.graphs import capture
from model.decode.options import Decoded, DecodeOptions
from model.decode.slots import Slots
from model.decode.steps import STEPS, Method
from model.decode.transcript import report
from model.errors import DecodingError, OutOfMemoryError
from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.config import BlockAnchor, ModelConfig
from model.network.prompt import Prompt, collate_prompts

_NO_ROOM = "the device's memory does not hold one report in decoding: free memory, or use a smaller model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One report to decode, by its own steps, threshold and greatest length."""

    ticket: int
    prompt: Prompt
    options: DecodeOptions
    rank: int = 0
    yields: bool = False

    @property
    def place(self) -> tuple[bool, int, int]:
        """The place in the order: the smallest one is decoded first."""
        return self.yields, self.rank, self.ticket


class Engine:
    """Decodes reports of one model.

    slots: reports in decoding at once. longest_prompt, longest_report: tokens that a slot has room for.
    pad_id: the token that pads prompts of one prefill to one length. method: how it decodes, by default the
    fastest that the model's stage allows. graphs: whether the step is replayed as a CUDA graph; by default on
    a CUDA
    device.
    """

    def __init__(
        self,
        backbone: Backbone,
        config: ModelConfig,
        *,
        pad_id: int,
        slots: int,
        longest_prompt: int,
        longest_report: int | None = None,
        method: Method | None = None,
        graphs: bool | None = None,
    ) -> None:
        self._backbone, self._config, self._pad_id = backbone, config, pad_id
        self._method = method or Method.of(config.stage)
        self._options = self._suited(DecodeOptions.of(config))
        self._longest_prompt = longest_prompt
        self._longest_report = longest_report or config.max_tokens
        self._graphs_wanted = backbone.device.type == "cuda" if graphs is None else graphs
        self._waiting: list[Request] = []  # in their order
        self._tickets = 0
        self._requests: list[Request | None] = []
        self._allocate(slots)

    @property
    def slots(self) -> int:
        """Reports decoded concurrently; fewer than requested after the memory ran out."""
        return len(self._requests)

    @property
    def busy(self) -> bool:
        """Whether a report is waiting or in decoding."""
        return bool(self._waiting) or any(request is not None for request in self._requests)

    def submit(
        self, prompt: Prompt, options: DecodeOptions | None = None, *, rank: int = 0, yields: bool = False
    ) -> int:
        """Queues a report and returns its ticket. Raises: DecodingError if it does not fit into a slot.

        options: the model's own where left out; block size, mask and end token must be the model's. rank: the
        lowest is decoded first. yields: it loses its slot to a report that does not, and starts again later.
        """
        options = self._suited(options) if options else self._options
        prompt_tokens, report_tokens = len(prompt.input_ids), len(prompt.answer) + options.max_tokens
        if prompt_tokens > self._longest_prompt or report_tokens > self._longest_report:
            raise DecodingError(
                f"a prompt of {prompt_tokens} and a report of {report_tokens} tokens do not fit into a slot "
                f"of {self._longest_prompt} and {self._longest_report}"
            )
        self._tickets += 1
        self._wait(Request(ticket=self._tickets, prompt=prompt, options=options, rank=rank, yields=yields))
        return self._tickets

    def clear(self) -> None:
        """Drops everything that is waiting or being decoded."""
        self._waiting.clear()
        self._requests = [None] * self.slots
        self._snapshots.clear()

    def decode(self, prompts: Sequence[Prompt], options: DecodeOptions | None = None) -> list[Decoded]:
        """Decodes all prompts and returns their reports in order. The engine must be idle.

        Raises:
            OutOfMemoryError if a report does not fit even alone.
        """
        order = {self.submit(prompt, options): row for row, prompt in enumerate(prompts)}
        reports: dict[int, Decoded] = {}
        while self.busy:
            for ticket, decoded in self.advance():
                if isinstance(decoded, OutOfMemoryError):
                    self.clear()
                    raise decoded
                reports[order[ticket]] = decoded
        return [reports[row] for row in range(len(prompts))]

    @torch.inference_mode()
    def advance(self) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """Fills free slots, runs one forward, and returns the finished reports with their tickets.

        If the device's memory runs out, the slots are halved and their reports restart; no report is lost.
        One that does not fit even alone is returned as an error, and the others continue.
        """
        try:
            self.admit()
            self._step()
        except torch.OutOfMemoryError:
            return self._shrink()
        else:
            self._snapshots.append(_Snapshot.of(self._state.running, self._requests))
        if len(self._snapshots) <= self._lag:
            return []
        return self._harvest(self._snapshots.popleft())

    def _suited(self, options: DecodeOptions) -> DecodeOptions:
        """Token by token, a block is one token, in one step."""
        if self._method is not Method.AUTOREGRESSIVE:
            return options
        response = BlockAnchor.RESPONSE
        return replace(options, block_size=1, steps=1, threshold=None, block_anchor=response)

    # ---- slots ----

    def _allocate(self, slots: int) -> None:
        options, backbone = self._options, self._backbone
        size = options.block_size
        self._room = self._longest_prompt + self._longest_report + 2 * size
        self._cache = BlockCache(
            backbone.shape,
            slots=slots,
            capacity=self._room
            + size,  # the last columns receive what a slot without a clean block would write
            dtype=backbone.dtype,
            device=backbone.device,
        )
        self._state = Slots.empty(slots, self._longest_report, options, backbone.device)
        self._requests = [None] * slots
        self._graphs: dict[int, Callable[[], None]] = {}
        # On a GPU the state is read one step late, while the next step runs.
        self._lag = 1 if backbone.device.type == "cuda" else 0
        self._snapshots: deque[_Snapshot] = deque()

    def _shrink(self) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """Halves the slots and requeues their reports; with a single slot its report is returned as
        failed."""
        held = [request for request in self._requests if request is not None]
        failed = held if self.slots == 1 else []
        for request in held[len(failed) :]:
            self._wait(request)
        fewer = max(1, self.slots // 2)
        del self._cache, self._state, self._graphs
        if self._backbone.device.type == "cuda":
            torch.cuda.empty_cache()
        self._allocate(fewer)
        return [(request.ticket, OutOfMemoryError(_NO_ROOM)) for request in failed]

    @torch.inference_mode()
    def admit(self) -> None:
        """Gives free slots to waiting reports; those with equally many images share one prefill."""
        self._interrupt()
        free = [slot for slot, request in enumerate(self._requests) if request is None]
        taken = [(slot, self._waiting.pop(0)) for slot in free[: len(self._waiting)]]
        for slot, request in taken:
            self._requests[slot] = request
        for images in {len(request.prompt.images) for _, request in taken}:
            self._prefill([(s, r) for s, r in taken if len(r.prompt.images) == images])

    def _interrupt(self) -> None:
        """Takes slots from reports that yield, the latest first, for waiting ones that do not."""
        urgent = sum(not request.yields for request in self._waiting)
        missing = urgent - self._requests.count(None)
        if missing < 1:
            return
        yielding = [
            (r.ticket, slot, r) for slot, r in enumerate(self._requests) if r is not None and r.yields
        ]
        for _ticket, slot, request in sorted(yielding, key=lambda one: one[0])[-missing:]:
            self._requests[slot] = None
            # Another object, so that no snapshot of its first run counts for the second.
            self._wait(replace(request))

    def _wait(self, request: Request) -> None:
        insort(self._waiting, request, key=lambda one: one.place)

    def _prefill(self, entering: Sequence[tuple[int, Request]]) -> None:
        device = self._backbone.device
        slots = torch.tensor([slot for slot, _ in entering], device=device)
        batch = collate_prompts([request.prompt for _, request in entering], self._config, self._pad_id)
        encoded = encode_prompts(self._backbone, batch, self._options)

        part = Slots.empty(len(entering), self._longest_report, self._options, device)
        part.block.copy_(encoded.block)
        part.settled.copy_(encoded.known)
        part.start.copy_(encoded.starts)
        part.position.copy_(encoded.next_position)
        part.place.copy_(-encoded.known.sum(dim=1))
        rules = [request.options for _, request in entering]
        part.commits.copy_(torch.tensor([rule.commits for rule in rules]))
        part.threshold.copy_(torch.tensor([rule.least_confidence for rule in rules]))
        part.limit.copy_(torch.tensor([rule.max_tokens for rule in rules]))
        part.running.fill_(True)
        if self._method is Method.FUSED:
            part.advance(encoded.prefill_block(self._backbone, self._cache, slots), self._options)
        elif self._method is Method.AUTOREGRESSIVE:
            logits = encoded.prefill_logits(self._backbone, self._cache, slots)  # [n, V]
            part.advance(logits[:, None], self._options)
        else:
            encoded.prefill(self._backbone, self._cache, slots)
            part.forwards.fill_(1)
        self._state.put(slots, part)

    # ---- the step ----

    def _step(self) -> None:
        """One step of the slots in use; as a graph, of a power of two of them, so that few are recorded."""
        used = 1 + max(
            (slot for slot, request in enumerate(self._requests) if request is not None), default=-1
        )
        if used == 0:
            return
        if not self._graphs_wanted:
            self._forward(used)
            return
        width = min(self.slots, 1 << (used - 1).bit_length())
        if width not in self._graphs:
            self._graphs[width] = capture(lambda: self._forward(width), self._state.first(width))
        self._graphs[width]()

    def _forward(self, width: int) -> None:
        state = self._state.first(width)
        STEPS[self._method](self._backbone, self._cache, state, self._options, self._room)

    def _harvest(self, snapshot: _Snapshot) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """The reports that had ended when the snapshot was taken; their slots are free now."""
        finished: list[tuple[int, Decoded | OutOfMemoryError]] = []
        for slot in snapshot.ended():
            request = self._requests[slot]
            if request is not None and request is snapshot.requests[slot]:
                finished.append((request.ticket, self._report(slot, request)))
                self._requests[slot] = None
        return finished

    def _report(self, slot: int, request: Request) -> Decoded:
        state, size = self._state, self._options.block_size
        written = slice(size, 2 * size + int(state.place[slot]))
        return report(
            replace(request.options, block_size=self._config.block_size),
            state.tokens[slot, written].tolist(),
            state.confidences[slot, written].tolist(),
            tail=self._options.tail(len(request.prompt.input_ids) + len(request.prompt.answer)),
            forwards=int(state.forwards[slot]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Snapshot:
    """Which slots were running, copied to the host asynchronously, and their owners."""

    running: Tensor
    requests: tuple[Request | None, ...]
    copied: torch.cuda.Event | None

    @classmethod
    def of(cls, running: Tensor, requests: Sequence[Request | None]) -> _Snapshot:
        if running.device.type != "cuda":
            return cls(running=running.clone(), requests=tuple(requests), copied=None)
        host = torch.empty(running.shape, dtype=running.dtype, pin_memory=True)
        host.copy_(running, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        return cls(running=host, requests=tuple(requests), copied=copied)

    def ended(self) -> list[int]:
        if self.copied is not None:
            self.copied.synchronize()
        return [slot for slot, running in enumerate(self.running.tolist()) if not running]
