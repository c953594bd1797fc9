"""Numbers of things in messages for people."""

from __future__ import annotations


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return `1 draft` or `3 drafts`; `plural` is for nouns that do not just take an s."""
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"
