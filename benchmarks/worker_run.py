"""The work of `benchmarks/worker.py`: queues phantom studies, lets the worker draft them, and measures
the time.
"""

from __future__ import annotations

import copy
import io
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch
from pydicom import Dataset, dcmwrite
from sqlalchemy import select

import agent.drafting.worker
import agent.drafting.write_results
import model.reporting.reporter
from agent.commands.demo.phantom_study import demo_uid, phantom_study
from agent.database import migrate
from agent.database.session import Database, database_now, open_engine
from agent.database.states import JobState
from agent.database.tables import Job
from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import (
    DestinationSettings,
    LogSettings,
    ModelSettings,
    Settings,
    StorageSettings,
    WorkerSettings,
)
from agent.objects.header import read_stored
from agent.queue.states import move
from agent.receive.intake import Intake
from agent.service.lifecycle import Lifecycle
from agent.service.wiring import open_store, run_worker
from model.decode.engine import Engine
from model.network.backbone import Backbone

Device = Literal["auto", "cpu", "cuda"]
# Drawing a film takes longer than reading it: this many patients, then the same films under new UIDs.
PATIENTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run; `seconds` from the start of the loop to the last commit, the stages in ms a study.

    outside_share: the part of `seconds` in which the network's thread was not in the network.
    """

    studies: int
    database: str
    slots: int
    threads: int
    seconds: float
    reports_per_second: float
    outside_share: float
    network_ms: dict[str, float]
    beside_ms: dict[str, float]


class Stopwatch:
    """Adds up how long functions take, under names; any thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.begun = 0.0
        # When each study was finished.
        self.settled: list[float] = []
        self._lock = threading.Lock()

    @contextmanager
    def around(
        self, owner: Any, function: str, name: str, then: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Measure a function, or a method of a class, while the context is open."""
        original = getattr(owner, function)

        @wraps(original)
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = perf_counter()
            try:
                return original(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds[name] += perf_counter() - begun
                if then is not None:
                    then()

        setattr(owner, function, timed)
        try:
            yield
        finally:
            setattr(owner, function, original)


def run(*, studies: int, slots: int, url: str, checkpoint: Path | None, device: Device, size: int) -> Row:
    """Queue `studies` studies, draft them all, and report how the time was spent."""
    configure_logging(LogSettings(level="warning"))
    with tempfile.TemporaryDirectory(prefix="echo-agent-worker-") as folder:
        settings = Settings(
            storage=StorageSettings(path=Path(folder) / "instances", min_free_mb=0),
            model=ModelSettings(checkpoint=checkpoint, device=device),
            worker=WorkerSettings(slots=slots),
            destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=104, ae_title="PACS"),),
        )
        database = Database(open_engine(url or f"sqlite:///{Path(folder) / 'agent.db'}"))
        migrate.upgrade(database)
        queue(database, settings, studies, size)
        kind = database.engine.dialect.name
        watch = Stopwatch()
        draft(settings, database, studies, watch)
    return row_of(watch, studies=studies, kind=kind, slots=slots)


def queue(database: Database, settings: Settings, studies: int, size: int) -> None:
    """Store and enter the studies like the listener, and complete them all."""
    store, intake = open_store(settings), Intake(database, settings.studies)
    taken = datetime.now(UTC)
    drawn = [
        phantom_study(seed, number=seed, taken=taken, size=size) for seed in range(min(studies, PATIENTS))
    ]
    for number in range(studies):
        for instance in drawn[number % len(drawn)].instances:
            dataset = _renamed(instance, number)
            buffer = io.BytesIO()
            dcmwrite(buffer, dataset, enforce_file_format=True)
            file = store.put([buffer.getvalue()])
            intake.receive(read_stored(store.open(file.sha256)), file, "MODALITY")
    with database.transaction() as session:
        for job in session.scalars(select(Job)):
            move(session, job, JobState.QUEUED, now=database_now(session), admitted=True)


def _renamed(instance: Dataset, number: int) -> Dataset:
    """The same film as another study of another patient."""
    dataset = copy.copy(instance)
    dataset.PatientID, dataset.AccessionNumber = f"BENCH-{number:06d}", f"BENCH{number:06d}"
    dataset.StudyInstanceUID = demo_uid("study", number, instance.StudyInstanceUID)
    dataset.SeriesInstanceUID = demo_uid("series", number, instance.SeriesInstanceUID)
    dataset.SOPInstanceUID = demo_uid("instance", number, instance.SOPInstanceUID)
    dataset.file_meta = copy.copy(instance.file_meta)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def draft(settings: Settings, database: Database, studies: int, watch: Stopwatch) -> None:
    """Run the worker until it has finished every study."""
    lifecycle = Lifecycle("worker", lambda: None)

    def count() -> None:
        watch.settled.append(perf_counter())
        if len(watch.settled) == studies:
            lifecycle.stop.set()

    desk = model.reporting.reporter._Desk
    measured: tuple[tuple[Any, str, str, Callable[[], None] | None], ...] = (
        (agent.drafting.worker.DraftingWorker, "_look", "claim", None),
        (agent.drafting.worker, "gather", "pixels", None),
        (desk, "prompt", "resize", None),
        (desk, "read", "review", None),
        (desk, "better", "review", None),
        (Backbone, "encode_images", "vision", None),
        (Engine, "_prefill", "prefill and vision", None),
        (Engine, "advance", "network", None),
        (agent.drafting.write_results, "draft_record", "documents", None),
        (agent.drafting.write_results.Results, "settle", "settle", count),
    )
    original = agent.drafting.worker.DraftingWorker.run

    def run_measured(worker: agent.drafting.worker.DraftingWorker, stop: threading.Event) -> None:
        """The clock starts with the worker's loop: the warm-up before it drafts no study."""
        watch.begun = perf_counter()
        with ExitStack() as stack:
            for owner, function, name, then in measured:
                stack.enter_context(watch.around(owner, function, name, then))
            original(worker, stop)

    setattr(agent.drafting.worker.DraftingWorker, "run", run_measured)  # noqa: B010 - the type of a method, replaced for once
    try:
        run_worker(settings, database, lifecycle)
    finally:
        setattr(agent.drafting.worker.DraftingWorker, "run", original)  # noqa: B010 - as above


def row_of(watch: Stopwatch, *, studies: int, kind: str, slots: int) -> Row:
    """Return the times of the stopwatch per study."""
    spent = {name: seconds * 1000 / studies for name, seconds in watch.seconds.items()}
    seconds = watch.settled[-1] - watch.begun
    whole = seconds * 1000 / studies
    vision, prefill, network = (spent.get(name, 0.0) for name in ("vision", "prefill and vision", "network"))
    return Row(
        studies=studies,
        database=kind,
        slots=slots,
        threads=torch.get_num_threads(),
        seconds=round(seconds, 2),
        reports_per_second=round(studies / seconds, 3),
        outside_share=round(1 - network / whole, 4),
        network_ms={
            "vision": round(vision, 2),
            "prefill": round(max(0.0, prefill - vision), 2),
            "decode": round(network - max(prefill, vision), 2),
            "outside": round(whole - network, 2),
        },
        beside_ms={
            "claim": round(spent.get("claim", 0.0), 2),
            "pixels": round(spent.get("pixels", 0.0), 2),
            "resize": round(spent.get("resize", 0.0), 2),
            "review": round(spent.get("review", 0.0), 2),
            "documents": round(spent.get("documents", 0.0), 2),
            "transaction": round(spent.get("settle", 0.0) - spent.get("documents", 0.0), 2),
        },
    )
