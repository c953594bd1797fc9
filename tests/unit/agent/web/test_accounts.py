"""Passwords are stored as argon2id hashes that cost an attacker time and memory."""

from __future__ import annotations

from argon2 import extract_parameters
from argon2.low_level import Type

from agent.web.accounts import hash_password


def test_password_is_hashed_with_argon2id_of_rfc_9106() -> None:
    """The hash uses at least the second recommended option: 3 passes over 64 MiB (RFC 9106, section 4)."""
    parameters = extract_parameters(hash_password("correct horse battery"))

    assert parameters.type is Type.ID
    assert parameters.time_cost >= 3
    assert parameters.memory_cost >= 64 * 1024
