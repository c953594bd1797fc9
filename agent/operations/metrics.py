"""The status as Prometheus metrics: the same read model, in the text format that a Prometheus server scrapes.

It contains no patient attributes, and no label's value comes from a peer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.foundation.settings.tree import Settings
from agent.operations.health import judge, worst
from agent.operations.status import Latency, ServiceStatus
from agent.operations.throughput import Throughput

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "echo_agent"
# Only these values that a process reports become labels: short words of our own.
_MODEL_LABELS = ("model", "version", "device", "demonstration")
_GPU = {"gpu_memory_used": "GPU memory in use.", "gpu_memory_total": "Total GPU memory."}


def exposition(status: ServiceStatus, settings: Settings) -> bytes:
    """Return the metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status, settings))
    return generate_latest(registry)


class _StatusCollector(Collector):
    """Passes one status to the library."""

    def __init__(self, status: ServiceStatus, settings: Settings) -> None:
        self._status = status
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from _service(self._status, self._settings)
        yield from _queue(self._status)
        yield from _backfill(self._status)
        yield from _processes(self._status)
        yield from _destinations(self._status)
        yield from _times(self._status)


def _gauge(
    name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float | None]]
) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(list(values), float(number))
    return family


def _single(name: str, text: str, number: float | None) -> Metric:
    return _gauge(name, text, (), [((), number)])


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * 1e6


def _service(status: ServiceStatus, settings: Settings) -> Iterator[Metric]:
    yield InfoMetricFamily(
        PREFIX, "The service.", value={"version": status.version, "database": status.database}
    )
    problems = judge(status, settings)
    yield _single("level", "Health: 0 ok, 1 warning, 2 critical.", float(worst(problems)))
    counts = Counter((problem.code, problem.level.name.lower()) for problem in problems)
    yield _gauge("problems", "Problems that need attention.", ("code", "level"), counts.items())
    yield _single("disk_free_bytes", "Free space on storage.path.", _bytes(status.disk_free_mb))
    yield _single(
        "disk_needed_bytes",
        "Free space below which senders are told to wait.",
        _bytes(settings.storage.min_free_mb),
    )
    yield _single("database_bytes", "Size of the database.", _bytes(status.database_mb))
    yield _gauge(
        "audit_waiting",
        "Audit events that a destination has not received.",
        ("destination",),
        (((name,), float(place.waiting)) for name, place in status.audit.items()),
    )


def _queue(status: ServiceStatus) -> Iterator[Metric]:
    yield _gauge("jobs", "Jobs by state (10,000 means that or more).", ("state",), _by_name(status.jobs))
    yield _single("oldest_queued_seconds", "Age of the longest queued study.", status.oldest_queued_s or 0.0)
    yield _single(
        "oldest_receiving_seconds", "Age of the longest receiving study.", status.oldest_receiving_s or 0.0
    )
    lines = [((one.lane, one.site), one) for one in status.backlog]
    yield _gauge(
        "jobs_due",
        "Jobs that a worker may claim, by lane and site (10,000 means that or more).",
        ("lane", "site"),
        ((labels, float(one.due)) for labels, one in lines),
    )
    yield _gauge(
        "jobs_due_seconds",
        "Time since the job that is claimed next is due, by lane and site.",
        ("lane", "site"),
        ((labels, one.waiting_s) for labels, one in lines),
    )
    yield _gauge(
        "skipped_last_day",
        "Studies that a rule skipped in the last day.",
        ("rule",),
        _by_name(status.skipped_last_day),
    )
    yield _gauge(
        "quarantined_last_day",
        "Received objects that were set aside in the last day.",
        ("code",),
        _by_name(status.quarantined_last_day),
    )


def _backfill(status: ServiceStatus) -> Iterator[Metric]:
    found = status.backfill
    if found is None:
        return
    yield _gauge(
        "backfill_queries", "Queries of the archive by date, by state.", ("state",), _by_name(found.queries)
    )
    yield _gauge("backfill_studies", "Studies of the archive, by state.", ("state",), _by_name(found.studies))
    yield _single("backfill_stopped", "Whether a person has stopped the backfill.", float(found.stopped))


def _by_name(counts: Mapping[str, int]) -> Iterator[tuple[Sequence[str], float | None]]:
    return (((name,), count) for name, count in counts.items())


def _processes(status: ServiceStatus) -> Iterator[Metric]:
    yield _gauge(
        "process_up",
        "Whether a process of the last day sends heartbeats.",
        ("role", "process"),
        (((one.role, one.id), float(one.alive)) for one in status.processes),
    )
    living = [one for one in status.processes if one.alive]
    models = InfoMetricFamily(f"{PREFIX}_model", "The network of a worker.", labels=("process",))
    for one in living:
        if one.role == "worker":
            models.add_metric([one.id], {name: str(one.about.get(name, "")) for name in _MODEL_LABELS})
    yield models
    for name, text in _GPU.items():
        rows = (((one.id,), one.about.get(name)) for one in living)
        yield _gauge(f"{name}_bytes", text, ("process",), rows)
    listeners = [one for one in living if one.role == "listener"]
    yield _gauge(
        "listener_associations",
        "Open associations.",
        ("process",),
        (((one.id,), one.about.get("associations")) for one in listeners),
    )
    answers = CounterMetricFamily(
        f"{PREFIX}_listener_events",
        "Objects since the listener's start, by outcome.",
        labels=("process", "event"),
    )
    for one in listeners:
        for event, count in _counted(one.about):
            answers.add_metric([one.id, event], float(count))
    yield answers
    messages = CounterMetricFamily(
        f"{PREFIX}_hl7_events",
        "What the HL7 port counted since its start: messages, and connections that were refused.",
        labels=("process", "event"),
    )
    for one in listeners:
        for event in ("messages", "refused"):
            if "hl7" in one.about:
                messages.add_metric([one.id, event], float(one.about["hl7"].get(event, 0)))
    yield messages


def _counted(about: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for event, count in about.get("counts", {}).items():
        if isinstance(count, int):
            yield str(event), count


def _destinations(status: ServiceStatus) -> Iterator[Metric]:
    yield _gauge(
        "deliveries",
        "Documents by destination and state (10,000 means that or more).",
        ("destination", "state"),
        (
            ((one.name, state), float(count))
            for one in status.destinations
            for state, count in one.deliveries.items()
        ),
    )
    yield _gauge(
        "destination_oldest_waiting_seconds",
        "Age of the longest waiting document.",
        ("destination",),
        (((one.name,), one.oldest_waiting_s or 0.0) for one in status.destinations),
    )
    yield _gauge(
        "destination_up",
        "Whether the destination answered the deliverer's last C-ECHO (or DICOMweb) request.",
        ("destination",),
        (
            ((one.name,), None if one.answer is None else float(one.answer.reachable))
            for one in status.destinations
        ),
    )


def _times(status: ServiceStatus) -> Iterator[Metric]:
    windows: tuple[tuple[str, Latency, Throughput], ...] = (
        ("1h", status.last_hour, status.throughput_last_hour),
        ("1d", status.last_day, status.throughput_last_day),
    )
    for target in ("drafted", "stored"):
        yield _gauge(
            f"last_image_to_{target}_seconds",
            f"From a study's last image to its draft being {target}, over the window.",
            ("window", "percentile"),
            (
                ((window, str(rank)), getattr(latency, f"last_image_to_{target}_p{rank}"))
                for window, latency, _ in windows
                for rank in (50, 95, 99)
            ),
        )
    yield _gauge(
        "studies",
        "Revisions of studies that reached a state within the window.",
        ("window", "state"),
        (
            ((window, name), float(getattr(passed, name)))
            for window, _, passed in windows
            for name in Throughput.__dataclass_fields__
        ),
    )
