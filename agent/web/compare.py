"""Word-by-word differences between two texts of a report. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from agent.reports.edited_report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Words that are in both texts, or only in the later (added) or only in the earlier one (removed)."""

    kind: Literal["same", "added", "removed"]
    text: str


def compare(before: Report, after: Report) -> dict[str, Sequence[Piece]]:
    """Return for each section the pieces of both texts, with one line per sentence."""
    return {
        "Findings": list(_pieces("\n".join(before.findings), "\n".join(after.findings))),
        "Impression": list(_pieces("\n".join(before.impression), "\n".join(after.impression))),
    }


def _pieces(before: str, after: str) -> Iterator[Piece]:
    old, new = _words(before), _words(after)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield Piece(kind="same", text="".join(old[i1:i2]))
            continue
        if i2 > i1:
            yield Piece(kind="removed", text="".join(old[i1:i2]))
        if j2 > j1:
            yield Piece(kind="added", text="".join(new[j1:j2]))


def _words(text: str) -> list[str]:
    """Return the words, each with the spaces after it, and each line end as a separate word."""
    return re.findall(r"[^\s]+[^\S\n]*|\n", text)
