"""Splits a message into its orders, each with its patient and its segments. Pure.

A message has several orders if it repeats ORC and OBR, or OBR alone under one ORC; a result message may also
name several patients (ORU^R01 repeats PATIENT_RESULT).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from agent.messages.hl7.message import Message, Segment


def order_groups(message: Message) -> Iterator[tuple[Segment | None, Sequence[Segment]]]:
    """Yield each order's patient and segments: its own, then those shared by all orders of the patient."""
    pids = [n for n, one in enumerate(message.segments) if one.name == "PID"] or [len(message.segments)]
    head = message.segments[: pids[0]]
    blocks = [message.segments[a:b] for a, b in pairwise([*pids, len(message.segments)])]
    for block in blocks if len(message.segments) > pids[0] else [head]:
        starts = [n for n in range(len(block)) if _begins_order(block, n)]
        shared = (*block[: starts[0]], *(head if block is not head else ())) if starts else ()
        control: Segment | None = None
        for a, b in pairwise([*starts, len(block)]):
            group = block[a:b]
            if group[0].name == "ORC":
                control = group[0]
            elif control is not None:
                group = (_without_numbers(control, group[0]), *group)
            yield next((one for one in block if one.name == "PID"), None), (*group, *shared)


def _begins_order(segments: Sequence[Segment], at: int) -> bool:
    """Whether an order begins here: at an ORC, or at an OBR that does not follow its ORC as the first."""
    if segments[at].name != "OBR":
        return segments[at].name == "ORC"
    before = (one.name for one in reversed(segments[:at]) if one.name in ("ORC", "OBR"))
    return next(before, "") != "ORC"


def _without_numbers(control: Segment, request: Segment) -> Segment:
    """Return the ORC for a further OBR under it, which may have its own order numbers."""
    if not request.text(2, 1) and not request.text(3, 1):
        return control
    fields = tuple("" if n in (2, 3) else one for n, one in enumerate(control.fields))
    return replace(control, fields=fields)
