"""Keeps torch out of a process, even if a library would load it because it is installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _RefusesTorch(MetaPathFinder):
    """Report torch alone as not installed.

    An entry of None in `sys.modules` would do the same, but SciPy takes that entry for the module.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torch":
            raise ModuleNotFoundError("this process works without torch", name=fullname)
        return None


def refuse_torch() -> None:
    """Make torch impossible to import from here on; if it was imported before, nothing changes."""
    sys.meta_path.insert(0, _RefusesTorch())
