"""The composition root: builds live objects from the settings, and the processes from these.

Only the worker imports the network's libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from agent.database.session import Database, open_engine
from agent.foundation.errors import SettingsError
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.operations.heartbeat import Heartbeat
from agent.service.lifecycle import Lifecycle
from agent.service.models import (
    SwitchWatch,
    challenging_place,
    check_as_switched,
    configured_checkpoint,
    drafting_place,
)
from agent.shadow.switching import MAIN, Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.database.audit.record import Recorder
    from agent.objects.store import InstanceStore
    from agent.ris.server import MllpServer
    from model.reporting.reporter import Reporter


# Without one of these a listener receives, completes or looks up nothing, and looks well.
_LISTENER_THREADS = (
    "listener",
    "listener-holds",
    "APScheduler",
    "ticker",
    "stow-rs",
    "hl7",
    "priors",
    "mwl",
)


def open_database(settings: Settings) -> Database:
    """Open the database; does not connect yet."""
    return Database(open_engine(settings.database.url))


def open_store(settings: Settings) -> InstanceStore:
    """Open the store of received objects."""
    storage = settings.storage
    if storage.url is not None:
        from agent.objects.store_s3 import open_remote

        return open_remote(
            storage.url,
            storage.path,
            storage.min_free_mb,
            endpoint_url=storage.endpoint_url,
            cache_mb=storage.cache_mb,
        )
    from agent.objects.store import InstanceStore

    return InstanceStore(storage.path, storage.min_free_mb)


def load_reporter(settings: Settings, place: Place = MAIN) -> Reporter:
    """Load a configured network; the challenger gets its own share of the device.

    Raises:
        ModelError: the checkpoint does not load, or the device that was asked for is not there.
        SettingsError: the challenger is asked for, and none is configured.
    """
    from model.reporting.reporter import Reporter

    checkpoint = configured_checkpoint(settings, place)
    return Reporter.load(
        checkpoint,
        settings.model.device,
        slots=settings.worker.slots,
        memory_fraction=settings.model.memory_fraction,
        quantization=settings.model.quantization,
        probes=_probes,
    )


def _load_challenger(settings: Settings, place: Place) -> Reporter:
    """Load the network that drafts alongside the main one, study by study."""
    from model.reporting.reporter import Reporter

    second = settings.shadow.challenger
    if second is None:
        raise SettingsError("there is no challenger: set `shadow.challenger.checkpoint`")
    return Reporter.load(
        configured_checkpoint(settings, place),
        second.device,
        slots=1,
        memory_fraction=second.memory_fraction,
        quantization=settings.model.quantization,
        probes=_probes,
    )


def _probes(size: int) -> list[NDArray[np.uint8]]:
    """Return images for the comparison of int8 with full precision; their seeds are not used in training."""
    from model.phantom import training_example

    return [image for n in range(8) for image in training_example(8_000_000 + n, size).images[:1]]


def run_listener(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Run the listener and housekeeping until stopped; then let open transfers finish.

    Raises:
        PortUnavailable: the address and port cannot be bound.
        DatabaseUnavailable: files and rows could not be compared at the start.
    """
    from agent.database.audit.record import Recorder
    from agent.delivery.commitment_reports import CommitmentReports
    from agent.receive.intake import Intake
    from agent.receive.reconcile_files import reconcile
    from agent.receive.retrieved import incoming_of
    from agent.receive.scp import StorageScp
    from agent.retrieve.priors.fetch import PriorFetcher
    from agent.service.http_server import stow_server
    from agent.service.ticks import Housekeeper

    store = open_store(settings)
    intake = Intake(database, settings.studies, settings.site_of, settings.in_shadow)
    found = reconcile(database, store, intake)
    get_logger("listener").info("reconciled", count=found.ingested + found.quarantined + found.missing)
    recorder = Recorder(database, "listener")
    reports = CommitmentReports(database, settings, actor=lifecycle.id, chance=Random(), note=recorder.note)
    scp = StorageScp(
        settings.listener,
        store,
        intake,
        prior_ae_title=settings.priors.move_destination if settings.priors.enabled else None,
        backfill_ae_title=settings.backfill.move_destination if settings.backfill.enabled else None,
        reports=reports if any(one.commitment for one in settings.destinations) else None,
        note=recorder.note,
    )
    stow = stow_server(settings.listener, store, intake, recorder.note)
    housekeeper = Housekeeper(database, settings, store, Random())
    incoming = incoming_of(settings, store, intake, recorder.note, prior=True)
    priors = PriorFetcher(database, store, settings, incoming, owner=lifecycle.id)
    port = scp.start()
    hl7 = _hl7(settings, database, recorder)
    about = partial(_listener_about, settings, port, scp, stow, hl7)
    try:
        audited = _audited(settings, database, "listener", lifecycle)
        heartbeat = Heartbeat(database, "listener", lifecycle.id, lifecycle.reported(about))
        with audited, recorder, _closing(hl7), heartbeat, _asking_for_orders(settings, database):
            if settings.listener.housekeeping:
                housekeeper.start()
            priors.start()
            if stow is not None:
                stow.start()
            lifecycle.ready(*_LISTENER_THREADS)
            lifecycle.stop.wait()
            if stow is not None:
                stow.stop()
            scp.stop()
            if settings.listener.housekeeping:
                housekeeper.stop()
            priors.stop()
    finally:
        scp.stop(0.0)
        database.close()


def _listener_about(settings: Settings, port: int, scp: Any, stow: Any, hl7: Any) -> dict[str, Any]:
    http = {} if stow is None else {"http_port": stow.port}
    messages = {} if hl7 is None else {"hl7": hl7.about()}
    return {"ae_title": settings.listener.ae_title, "port": port, **http, **messages, **scp.about()}


def _closing(server: MllpServer | None) -> AbstractContextManager[object]:
    return nullcontext() if server is None else closing(server)


def _hl7(settings: Settings, database: Database, recorder: Recorder) -> MllpServer | None:
    """Start receiving HL7 messages, if configured.

    Raises:
        PortUnavailable, SettingsError: the port cannot be opened as configured.
    """
    if not settings.hl7.enabled:
        return None
    from agent.database.audit.record import Action, Event
    from agent.ris.inbox import Inbox
    from agent.ris.server import MllpServer

    def refused(address: str, code: str) -> None:
        details = {"reason_code": code, "role": "hl7"}
        recorder.note(
            Event(action=Action.REFUSED, actor="hl7", address=address, succeeded=False, details=details)
        )

    server = MllpServer(settings.hl7, Inbox(database, settings.hl7).take, refused)
    port = server.start()
    get_logger("hl7").info("listening", host=settings.hl7.host, port=port)
    return server


@contextmanager
def _asking_for_orders(settings: Settings, database: Database) -> Iterator[None]:
    """Query the modality worklist for orders in the background, if one is configured."""
    if settings.mwl is None:
        yield
        return
    from agent.ris.order_search import OrderSearcher

    searcher = OrderSearcher(database, settings.mwl)
    searcher.start()
    try:
        yield
    finally:
        searcher.stop()


def run_worker(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Run the worker until stopped; then finish the current studies.

    Raises:
        ModelError: the checkpoint does not load, or the device that was asked for is not there.
        ModelNotAsSwitched: the checkpoint that was switched to was replaced.
    """
    from agent.drafting.worker import DraftingWorker

    watch = SwitchWatch(database, lifecycle)
    reporter = load_reporter(settings, drafting_place(database))
    identity = reporter.identity
    check_as_switched(database, identity.weights_sha256)
    _warm_up(reporter)
    about = {
        "model": identity.name,
        "version": identity.version,
        "weights_sha256": identity.weights_sha256,
        "demonstration": identity.demonstration,
        "block_size": identity.block_size,
        "device": str(reporter.device.device),
        "device_reason": reporter.device.reason,
        "slots": settings.worker.slots,
    }
    worker = DraftingWorker(database, open_store(settings), settings, reporter, owner=lifecycle.id)
    audited = _audited(settings, database, "worker", lifecycle)
    with (
        audited,
        Heartbeat(
            database, "worker", lifecycle.id, lifecycle.reported(lambda: {**about, **_gpu_memory(reporter)})
        ),
    ):
        lifecycle.ready("switches")
        watch.start()
        worker.run(lifecycle.stop)
    database.close()


def run_challenger(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Run the challenger until stopped; then finish the current study.

    Raises:
        SettingsError: no challenger is configured.
        ModelError: the checkpoint does not load, or the device that was asked for is not there.
    """
    from agent.drafting.challenger import ChallengerWorker

    watch = SwitchWatch(database, lifecycle)
    reporter = _load_challenger(settings, challenging_place(database))
    identity = reporter.identity
    _warm_up(reporter)
    about = {
        "model": identity.name,
        "version": identity.version,
        "weights_sha256": identity.weights_sha256,
        "device": str(reporter.device.device),
    }
    worker = ChallengerWorker(database, open_store(settings), settings, reporter)
    audited = _audited(settings, database, "challenger", lifecycle)
    with audited, Heartbeat(database, "challenger", lifecycle.id, lifecycle.reported(lambda: about)):
        lifecycle.ready("switches")
        watch.start()
        worker.run(lifecycle.stop)
    database.close()


def _gpu_memory(reporter: Reporter) -> dict[str, Any]:
    """Return the GPU's memory (bytes), in use by all processes and total; empty for a CPU."""
    import torch

    device = reporter.device.device
    if device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory_used": total - free, "gpu_memory_total": total}


def _warm_up(reporter: Reporter) -> None:
    """Draft a black image, so that everything is loaded and a broken device is detected before the first
    study.
    """
    import numpy as np

    from model.reporting.reporter import ReporterImage

    reporter.draft([ReporterImage(pixels=np.zeros((64, 64), np.uint8), view="frontal")])


def run_deliverer(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Run the deliverer until stopped; then finish the current documents."""
    from agent.delivery.deliverer import Deliverer
    from agent.operations.probe import Watch

    deliverer = Deliverer(database, settings, owner=lifecycle.id)
    watch = Watch(settings.destinations)
    audited = _audited(settings, database, "deliverer", lifecycle)
    with audited, watch, Heartbeat(database, "deliverer", lifecycle.id, lifecycle.reported(watch.about)):
        threads = [f"{what}-{one.name}" for what in ("to", "commitment") for one in settings.destinations]
        lifecycle.ready(*threads, "leases", "probe")
        deliverer.run(lifecycle.stop)
    database.close()


def run_housekeeper(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Run housekeeping until stopped; a second housekeeping process does no harm."""
    from agent.service.ticks import Housekeeper

    housekeeper = Housekeeper(database, settings, open_store(settings), Random())
    about = {
        "retention": settings.retention.purges,
        "audit": bool(settings.audit.file or settings.audit.syslog),
    }
    audited = _audited(settings, database, "housekeeping", lifecycle)
    with audited, Heartbeat(database, "housekeeping", lifecycle.id, lifecycle.reported(lambda: about)):
        housekeeper.start()
        lifecycle.ready("APScheduler", "ticker")
        lifecycle.stop.wait()
        housekeeper.stop()
    database.close()


def _audited(
    settings: Settings, database: Database, role: str, lifecycle: Lifecycle
) -> AbstractContextManager[None]:
    from agent.operations.audit.process import audited

    return audited(database, settings, role, lifecycle.id, lambda: lifecycle.restart)


def run_web(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Serve the worklist until stopped.

    Raises:
        WebUnprotected: other machines could reach it without sign-in or encryption.
        PortUnavailable: the address and port cannot be bound.
    """
    import threading

    from agent.foundation.errors import PortUnavailable
    from agent.reports.edited_report import read_findings, report_of
    from agent.web.app import check_protected, create_app, serve

    check_protected(settings, database)
    app = create_app(settings, database, open_store(settings))
    # Loading the sentence reader takes seconds: do it before the first edit.
    threading.Thread(target=read_findings, args=(report_of("No effusion.", ""),), daemon=True).start()
    started = threading.Event()
    about = {"host": settings.web.host, "port": settings.web.port}

    def announce() -> None:
        if started.wait(60):
            lifecycle.ready("web")

    threading.Thread(target=announce, daemon=True).start()
    audited = _audited(settings, database, "web", lifecycle)
    with audited, Heartbeat(database, "web", lifecycle.id, lifecycle.reported(lambda: about)):
        serve(app, settings, lifecycle.stop, started)
        lifecycle.failed = lifecycle.failed or not lifecycle.stop.is_set()
    if not started.is_set():
        raise PortUnavailable(f"the web page cannot bind {settings.web.host}:{settings.web.port}")
    database.close()
