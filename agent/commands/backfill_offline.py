"""Drafts of a set of files, without database and queue: in this process, or on a Ray cluster.

Both engines draft each study separately with the functions of `draft_files` and the same number of threads,
so that in float32 the drafts and documents are identical, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.commands.draft_files import Drafted, by_study, draft_alone, files_of, run_of
from agent.foundation.clock import SystemClock
from agent.foundation.settings.tree import Settings
from agent.objects.header import read_stored
from agent.retrieve.backfill.offline_set import DraftSet, Row, SetDescription
from agent.service.models import configured_checkpoint
from agent.shadow.switching import MAIN
from model.evaluate.engines.engine import WorkerKilled, Workers
from model.evaluate.engines.run_groups import run_groups
from model.findings.types import Presence

# A study: its UID and its files.
Group = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DraftStudies:
    """Loads the network in a worker, and returns a function that drafts one study after the other there.

    created: the time in all documents (ISO 8601). threads: CPU threads.
    """

    settings: Settings
    created: str
    threads: int

    def __call__(self) -> Any:
        """Return the function that a worker runs."""
        import torch

        from agent.foundation.log import configure_logging

        torch.set_num_threads(self.threads)
        configure_logging(self.settings.log)
        run = run_of(self.settings, _FixedClock(datetime.fromisoformat(self.created)))

        def draft(group: Group) -> tuple[Row, Mapping[str, bytes]]:
            uid, names = group
            files = [(path, read_stored(path)) for path in map(Path, names)]
            drafted, documents = draft_alone(uid, files, run)
            return _row(drafted, documents), documents

        return draft


@dataclass(frozen=True, slots=True)
class _FixedClock:
    moment: datetime

    def now(self) -> datetime:
        """Return the time in the set's documents."""
        return self.moment


def draft_set(
    paths: Sequence[Path],
    output: Path,
    settings: Settings,
    workers: Workers,
    *,
    threads: int = 1,
    created: datetime | None = None,
) -> Counter[str]:
    """Draft every study among the files that is not in the set yet; return how many ended in each state.

    threads: CPU threads of each worker. created: time in all documents of a new set; now if left out.

    Raises:
        ModelError: the checkpoint does not load, or the engine cannot be used.
        PackagesMissing: the packages that write Parquet are not installed.
        AnotherSet: the folder holds drafts of another network.
    """
    kept = DraftSet(output)
    described = kept.agree(_description(settings, created or SystemClock().now()))
    groups, unreadable = by_study(files_of(paths))
    done = kept.done()
    counted: Counter[str] = Counter({"already there": len(done & set(groups))})
    todo = [
        (uid, tuple(str(path.resolve()) for path, _header in files))
        for uid, files in sorted(groups.items())
        if uid not in done
    ]
    work = DraftStudies(settings, described.created, threads)
    try:
        for one in unreadable:
            if one.study_instance_uid not in done:
                _keep(kept, counted, _row(one, {}), {})
        for (uid, _names), result in zip(todo, run_groups(todo, work, workers), strict=True):
            row, documents = (_killed(uid, result), {}) if isinstance(result, WorkerKilled) else result
            _keep(kept, counted, row, documents)
    finally:
        kept.flush()
    return counted


def _keep(kept: DraftSet, counted: Counter[str], row: Row, documents: Mapping[str, bytes]) -> None:
    kept.add(row, documents)
    counted[str(row["state"])] += 1


def _description(settings: Settings, created: datetime) -> SetDescription:
    """Describe a new set, without loading the network in this process."""
    from model.network.inspection import sound_checkpoint
    from model.network.weights import weights_sha256

    config, _tokenizer, weights = sound_checkpoint(configured_checkpoint(settings, MAIN))
    return SetDescription(
        created=created.astimezone().isoformat(timespec="seconds"),
        model=f"{config.name} {config.version}",
        weights_sha256=weights_sha256(weights.files),
    )


def _row(drafted: Drafted, documents: Mapping[str, bytes]) -> Row:
    digests = {f"{role}_sha256": hashlib.sha256(content).hexdigest() for role, content in documents.items()}
    findings = {one.value: list(drafted.findings.get(one.value, ())) for one in Presence}
    return {
        "study_instance_uid": drafted.study_instance_uid,
        "state": drafted.state,
        "code": drafted.code,
        "reason": drafted.reason,
        "text": drafted.text,
        **findings,
        "flags": list(drafted.flags),
        **digests,
    }


def _killed(uid: str, why: WorkerKilled) -> Row:
    failed = Drafted(
        study_instance_uid=uid,
        state="FAILED",
        code=why.code,
        reason=str(why),
        findings={},
    )
    return _row(failed, {})
