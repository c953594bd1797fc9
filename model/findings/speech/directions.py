"""Sides that state a direction, not a place: "shift to the right", "rightward deviation"."""

from __future__ import annotations

from model.findings.spans import Marked, Span

_REACH = 7  # words between the movement and its direction


def is_direction(marked: Marked, side: Span, mention: Span) -> bool:
    """Whether a side is the direction of a movement that is not the mention's own."""
    motion = marked.pack.words["motion"]
    if not motion:
        return False
    words = marked.words
    if words[side.start].endswith("ward") or words[side.start].endswith("wards"):
        return not any(word in motion for word in words[mention.start : mention.end])
    to = side.start - 1 - (words[side.start - 1 : side.start] == ("the",))
    if to < 0 or words[to] not in marked.pack.words["towards"]:
        return False
    moved = [i for i in range(max(0, side.start - _REACH), side.start) if words[i] in motion]
    if not moved or any(c.kind == "end" and moved[-1] < c.end <= side.start for c in marked.cues):
        return False  # "shift due to left lower lobe collapse"
    return not any(mention.start <= index < mention.end or mention.start - 1 == index for index in moved)
