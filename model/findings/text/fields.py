"""Sides that stand apart from their item: in the sentence or line after it, and in the head of a table.

"Pneumothorax: Right: none. Left: small." is one statement, and a row "Effusion | Yes | No" says nothing
without the sides of its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.findings.spans import Reader
from model.findings.speech.fields import is_pairs, pairs_of_item
from model.findings.text.sentences import Sentence, joined

_LONGEST_ITEM, _LONGEST_ANSWER, _LONGEST_CELL = 160, 60, 40  # characters
_NEAR = 12  # characters between an item and its first side
_BLANK = re.compile(r"\n[^\S\n]{0,40}\n")
_CELLS = re.compile(r"[|\t]")


def with_sides(text: str, sentences: Sequence[Sentence], reader: Reader) -> list[Sentence]:
    """The sentences, each item joined with the sides that the next sentences answer for, and the rows of a
    table with the sides of its columns.
    """
    found = joined(text, sentences, lambda item, sentence: _belongs(text, item, sentence, reader))
    return list(_with_heads(found, reader)) if _CELLS.search(text) else found


def _belongs(text: str, item: Sentence, sentence: Sentence, reader: Reader) -> bool:
    """Whether a sentence only answers for a side of the item before it."""
    between = text[item.end : sentence.start]
    rows = item.text.endswith(("|", "?"))  # "Effusion | Right: yes | Left: no"
    if (
        not (rows or ":" in item.text)
        or len(item.text) > _LONGEST_ITEM
        or len(sentence.text) > _LONGEST_ANSWER
    ):
        return False
    if len(between) > _NEAR or _BLANK.search(between) or item.impression != sentence.impression:
        return False
    answer = reader.mark(sentence.text)
    if answer.places or not is_pairs(answer):
        return False  # "Right upper lobe: stable" begins another item
    label = reader.mark(item.text)
    end = len(label.words) - (label.words[-1:] in ((":",), ("?",)))
    bare = (rows or end < len(label.words)) and [(t.start, t.end) for t in label.terms] == [(0, end)]
    return bare or pairs_of_item(label) > 0


def _with_heads(sentences: Sequence[Sentence], reader: Reader) -> Iterator[Sentence]:
    heads: list[str] = []
    for sentence in sentences:
        cells = _cells_of(sentence.text)
        if len(cells) > 2 and (sides := _sides_of(cells, reader)):
            heads = sides
        elif not heads or len(cells) != len(heads):
            heads = []
        elif not sentence.dropped:
            yield replace(sentence, text=_row(cells, heads))
            continue
        yield sentence


def _cells_of(text: str) -> list[str]:
    """The cells of the last line of a text; the lines above it only rule the table."""
    line = text.rsplit("\n", 1)[-1].strip(" ")
    line = line[line.startswith("|") : len(line) - line.endswith("|")]
    return [cell.strip() for cell in _CELLS.split(line)]


def _sides_of(cells: Sequence[str], reader: Reader) -> list[str]:
    """The side of each column, "" for the others; nothing if the cells do not name two sides."""
    sides = ["", *(cell if _is_side(cell, reader) else "" for cell in cells[1:])]
    return sides if len({side for side in sides if side}) > 1 else []


def _is_side(cell: str, reader: Reader) -> bool:
    if not cell or len(cell) > _LONGEST_CELL:
        return False
    marked = reader.mark(cell)
    return [(s.start, s.end) for s in marked.sides] == [(0, len(marked.words))]


def _row(cells: Sequence[str], sides: Sequence[str]) -> str:
    """A row as a field: "Effusion: Right: Yes; Left: No". An empty cell or a dash states nothing."""
    said = [(side, cell) for side, cell in zip(sides[1:], cells[1:], strict=True) if cell.strip("-–— ")]
    return f"{cells[0]}: " + "; ".join(f"{side}: {cell}" if side else cell for side, cell in said)
