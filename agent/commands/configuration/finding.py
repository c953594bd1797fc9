"""One thing that is wrong with the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong at a place in the settings, and what to do; `stops`: the service must not start."""

    place: str
    text: str
    cure: str
    stops: bool = False

    def line(self, lines: Mapping[str, int]) -> str:
        """Return it as one line; `lines`: the line in the file for each place."""
        at = self.place
        while at and at not in lines:
            at = at[: max(at.rfind("."), at.rfind("["), 0)]
        where = f" (line {lines[at]})" if at else ""
        return f"{self.place}{where}: {self.text}; {self.cure}"
