"""One problem that the gate found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`code` is stable; `where` names the attribute or item; `text` says what it must be.

    No text quotes patient data.
    """

    code: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} at {self.where}: {self.text}"
