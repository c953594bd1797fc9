"""The web process works without torch, and so do the libraries that it uses."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from agent.commands.without_torch import refuse_torch
refuse_torch()
from scipy.stats import binomtest
print(binomtest(1, 2).pvalue)
try:
    import torch
except ModuleNotFoundError as error:
    print(error)
"""


def test_torch_is_refused_and_statistics_work() -> None:
    """SciPy looks for torch among the loaded modules, finds none and continues."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.split("\n")) == (
        0,
        ["1.0", "this process works without torch", ""],
    ), done.stderr
