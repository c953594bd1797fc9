"""The training cost of a run, by stage, so that rows are compared at stated budgets."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STAGES = ("labels", "ar", "rad", "rollout", "dcd", "t3d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One stage, averaged over runs. tokens: of all steps, including prompt and copies; none in a rollout.

    minutes, cpu_minutes: of the process that finished the stage; the second is unknown for older runs.
    """

    stage: str
    steps: int
    tokens: int
    minutes: float
    cpu_minutes: float | None


def budgets(runs: Sequence[Path]) -> list[Budget]:
    """The stages that all of the runs have finished, in order."""
    finished = [stage for stage in _STAGES if all((run / stage / "done").exists() for run in runs)]
    return [_mean([_budget(run, stage) for run in runs]) for stage in finished]


def _budget(run: Path, stage: str) -> Budget:
    log = run / stage / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    record = json.loads((run / stage / "done").read_text(encoding="utf-8"))
    cpu = record.get("cpu_seconds")
    return Budget(
        stage=stage,
        steps=len(lines),
        tokens=sum(json.loads(line).get("tokens", 0) for line in lines),
        minutes=record["seconds"] / 60,
        cpu_minutes=None if cpu is None else cpu / 60,
    )


def _mean(found: Sequence[Budget]) -> Budget:
    cpu = [one.cpu_minutes for one in found if one.cpu_minutes is not None]
    return Budget(
        stage=found[0].stage,
        steps=round(statistics.fmean(one.steps for one in found)),
        tokens=round(statistics.fmean(one.tokens for one in found)),
        minutes=round(statistics.fmean(one.minutes for one in found), 2),
        cpu_minutes=round(statistics.fmean(cpu), 2) if len(cpu) == len(found) else None,
    )
