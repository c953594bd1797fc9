"""Cheap password hashes: those of the product take a sixth of a second of processor time for each sign-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from argon2 import PasswordHasher

from agent.web import accounts


@contextmanager
def quick_passwords() -> Iterator[None]:
    """Use them; tests/unit/agent/web/test_accounts.py tests the product's own."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", cheap)
        patch.setattr(accounts, "_NOBODY", cheap.hash("nobody has this name"))
        yield
