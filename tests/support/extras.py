"""Packages of an extra that a test needs."""

from __future__ import annotations

import importlib.util
import os

import pytest


def needs_package(name: str) -> None:
    """Skip the test if a package is not installed; fail it under CI=true."""
    if importlib.util.find_spec(name) is not None:
        return
    words = f"{name} is not installed: pip install -c constraints.txt -e '.[dev]'"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)
