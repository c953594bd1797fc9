"""The priority of the process that retrieves old studies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

_SHOW = """
import json, sys, psutil
from agent.service.low_priority import lower_priority
lower_priority(int(sys.argv[1]))
process = psutil.Process()
print(json.dumps([process.nice(), process.ionice()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the priority of reads and writes is Linux's")
def test_process_is_served_after_the_others(repository: Path) -> None:
    """Its niceness grows by the setting, up to the maximum; its reads and writes have the lowest priority."""
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, "7"], capture_output=True, text=True, check=True, cwd=repository
    )
    nice, io_class_and_level = json.loads(done.stdout)
    assert nice == min(psutil.Process().nice() + 7, 19)
    assert io_class_and_level == [int(psutil.IOPRIO_CLASS_BE), 7]
