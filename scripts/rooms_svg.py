"""The drawing of the rooms: floors from the import contract, arrows from the imports themselves. Pure.

An arrow stands for "imports". Only those of the transitive reduction are drawn: where A imports B and B
imports C, an import of C by A adds nothing to the order of the rooms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from textwrap import wrap
from xml.sax.saxutils import escape

BOX, GAP, ROW, MARGIN = 172, 18, 118, 26
HEIGHT = 68
# A purpose is wrapped to lines of this many characters; what does not fit is left to the folder's docstring.
LINE, LINES = 31, 3
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1d2733; text-anchor: middle }
.name { font-weight: 600 }
.small { font-size: 10px; fill: #51606f }
.title { font-size: 16px; font-weight: 600; text-anchor: start }
.box { fill: #fff; stroke: #2f6f8f; stroke-width: 1.4 }
.floor { fill: #f1f5f8 }
path { fill: none; stroke: #8aa0b2; stroke-width: 1.2; marker-end: url(#head) }
"""

Pairs = set[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One package: its floors from the top down, what each room is for, and the pairs of rooms."""

    package: str
    floors: Sequence[Sequence[str]]
    purposes: Mapping[str, str]
    pairs: Pairs


def reduction(pairs: Pairs) -> Pairs:
    """Return the pairs that no chain of others implies; the pairs have no circle."""
    below: dict[str, set[str]] = {}
    for one, other in pairs:
        below.setdefault(one, set()).add(other)
    reach: dict[str, set[str]] = {}
    for room in TopologicalSorter(below).static_order():
        reach[room] = {far for near in below.get(room, ()) for far in ({near} | reach[near])}
    return {
        (one, other)
        for one, other in pairs
        if not any(other in reach[near] for near in below[one] if near != other)
    }


def draw(houses: Sequence[House]) -> str:
    """Return the packages side by side as an SVG."""
    parts, left, height = [], MARGIN, 0
    for house in houses:
        width = max(len(floor) for floor in house.floors) * (BOX + GAP) + GAP
        parts += _house(house, left, width)
        left += width + MARGIN
        height = max(height, len(house.floors) * ROW)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} {height + 3 * MARGIN}" '
        f'width="{left}" height="{height + 3 * MARGIN}"><style>{STYLE}</style>'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#8aa0b2;stroke:none;marker-end:none"/>'
        '</marker></defs><rect width="100%" height="100%" fill="#fff"/>'
    )
    return head + "".join(parts) + "</svg>\n"


def _house(house: House, left: int, width: int) -> list[str]:
    places = _places(house, left, width)
    arrows = reduction({pair for pair in house.pairs if set(pair) <= places.keys()})
    parts = [f'<text class="title" x="{left}" y="{MARGIN}">{house.package}/</text>']
    for number in range(len(house.floors)):
        top = 2 * MARGIN + number * ROW - 10
        parts.append(
            f'<rect class="floor" x="{left}" y="{top}" width="{width}" height="{HEIGHT + 20}" rx="8"/>'
        )
    parts += [_arrow(places[one], places[other]) for one, other in sorted(arrows)]
    for room, (x, y) in places.items():
        parts.append(f'<rect class="box" x="{x - BOX // 2}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6"/>')
        parts.append(f'<text class="name" x="{x}" y="{y + 18}">{room}</text>')
        lines = wrap(house.purposes.get(room, ""), LINE, max_lines=LINES, placeholder=" …")
        for number, line in enumerate(lines):
            parts.append(f'<text class="small" x="{x}" y="{y + 34 + 12 * number}">{escape(line)}</text>')
    return parts


def _places(house: House, left: int, width: int) -> dict[str, tuple[int, int]]:
    """Return the top middle of every box; each floor is ordered by the middle of what imports it."""
    places: dict[str, tuple[int, int]] = {}
    for number, floor in enumerate(house.floors):

        def middle(room: str) -> tuple[float, str]:
            above = [places[one][0] for one, other in house.pairs if other == room and one in places]
            return (sum(above) / len(above) if above else left + width / 2), room

        ordered = sorted(floor, key=middle)
        free = width - len(ordered) * BOX
        space = free / (len(ordered) + 1)
        for index, room in enumerate(ordered):
            x = left + space * (index + 1) + BOX * index + BOX / 2
            places[room] = (round(x), 2 * MARGIN + number * ROW)
    return places


def _arrow(source: tuple[int, int], target: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = (source[0], source[1] + HEIGHT), target
    bend = (y2 - y1) / 2
    return f'<path d="M{x1} {y1}C{x1} {y1 + bend:.0f} {x2} {y2 - bend:.0f} {x2} {y2 - 1}"/>'
