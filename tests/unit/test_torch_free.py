"""Only what runs the network loads torch, and only statistics load SciPy: everything else starts without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "tokenizers", "safetensors")
# SciPy comes with scikit-learn, which the tokenizer's library loads if installed: only `agent` is checked.
STATISTICS = "scipy"
# Commands load the network if their task needs it; every other room, including a new one, must not.
FREE_TO_LOAD = "commands"
MODEL = ("drafts", "findings")
PROGRAM = """
import importlib, pkgutil, sys
for name in sys.argv[1].split(","):
    package = importlib.import_module(name)
    for one in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(one.name)
print(",".join(name for name in sys.argv[2].split(",") if name in sys.modules))
"""


@pytest.mark.parametrize("package", ["agent", "model"])
def test_rooms_load_no_torch(repository: Path, package: str) -> None:
    """Importing every file of the torch-free rooms loads neither, whether directly or indirectly."""
    rooms = sorted(one.parent.name for one in (repository / "agent").glob("*/__init__.py"))
    torch_free = MODEL if package == "model" else [room for room in rooms if room != FREE_TO_LOAD]
    names = [f"{package}.{room}" for room in torch_free]
    unwanted = (*HEAVY, STATISTICS) if package == "agent" else HEAVY
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(names), ",".join(unwanted)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == ""
