"""The demo from end to end: a PACS, the agent, a modality that sends, and the wait for the results."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from sqlalchemy import select

from agent.commands.demo import output
from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.commands.demo.outcome import DemoOutcome, DemoResult, StudyResult, read_model, read_outcomes
from agent.commands.demo.pacs import Pacs, running_pacs
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.ris import DemoRis, running_ris
from agent.commands.demo.ris_page import write_page
from agent.commands.demo.sending import Parcel, Sent, by_study, parcel_of, parcels_in, send
from agent.commands.demo.service import Service, running_service, write_config
from agent.database.session import Database, open_engine
from agent.database.tables import Instance, Study, Worker
from agent.objects.store import InstanceStore
from model.findings.types import Finding

POLL_S = 0.2
# For studies that are STAT by order or by draft, an order change is sent as well.
RIS_DESTINATION: Mapping[str, Any] = {"name": "ris", "kind": "hl7", "hl7": {"escalation": "OMI"}}
RIS_PAGE = "ris.html"
# After this long (s) without progress the demo stops waiting.
PATIENCE_S = 180.0
Report = Callable[[str, Mapping[str, DemoOutcome]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the demo."""

    studies: int = 5
    seed: int = 1_000_000
    source: Path | None = None
    pacs: str = "embedded"
    output: Path | None = None
    size: int = 1024
    checkpoint: Path | None = None
    orders: bool = False


@dataclass(slots=True, kw_only=True)
class _Sending:
    """What has been sent so far."""

    objects: list[Sent] = field(default_factory=list)
    truths: dict[str, Sequence[Finding]] = field(default_factory=dict)

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies of which the agent accepted something, in the order of sending."""
        return tuple(dict.fromkeys(one.study_instance_uid for one in self.objects if one.accepted))


def run_demo(options: DemoOptions, report: Report) -> DemoResult:
    """Run the demo and return the result of every study.

    Args:
        options: as given on the command line.
        report: called with the name of a stage, and the outcomes so far.

    Raises:
        ProgramMissing: Orthanc was asked for and is not installed.
        ProgramNotReady: the PACS or the agent did not start.
        NotOurFolder: the output folder holds something else.
    """
    place = output.prepare(options.output or Path("demo-output"))
    with tempfile.TemporaryDirectory(prefix="echo-agent-demo-") as name:
        folder = Path(name)
        report("starting the PACS", {})
        with _running(options.pacs, folder) as pacs:
            report("starting the agent", {})
            with _ris(options) as ris, _agent(folder, pacs, ris, options) as service:
                database = Database(open_engine(service.settings.database.url))
                sending = _send_all(options, service, database, ris, report)
                outcomes = _wait(database, sending, report)
                result = _collect(options, place, service, database, pacs, sending, outcomes, ris)
                database.close()
                return result


def _ris(options: DemoOptions) -> AbstractContextManager[DemoRis | None]:
    return running_ris() if options.orders else nullcontext()


@contextmanager
def _agent(folder: Path, pacs: Pacs, ris: DemoRis | None, options: DemoOptions) -> Iterator[Service]:
    dicom, mllp = free_ports(2)
    config = write_config(
        folder,
        pacs,
        port=dicom,
        checkpoint=options.checkpoint,
        further=[] if ris is None else [{**RIS_DESTINATION, "host": ris.host, "port": ris.port}],
        changes={} if ris is None else {"hl7": {"enabled": True, "port": mllp}},
    )
    with running_service(folder, pacs, config=config) as service:
        yield service


@contextmanager
def _running(kind: str, folder: Path) -> Iterator[Pacs]:
    if kind == "orthanc":
        place = folder / "orthanc"
        place.mkdir()
        with running_orthanc(place) as orthanc:
            yield orthanc
    else:
        with running_pacs(folder / "pacs") as pacs:
            yield pacs


def _send_all(
    options: DemoOptions, service: Service, database: Database, ris: DemoRis | None, report: Report
) -> _Sending:
    """Send study by study; with a RIS each is ordered before its images come."""
    sending = _Sending()
    for group in _groups(options, sending):
        listener, hl7 = service.settings.listener, service.settings.hl7
        if ris is not None:
            ris.order(_header(group[0]), host=hl7.host, port=hl7.port, at=datetime.now(UTC))
        sending.objects.extend(send(group, host=listener.host, port=listener.port, called=listener.ae_title))
        report("sending", read_outcomes(database, sending.studies))
    return sending


def _header(parcel: Parcel) -> Dataset:
    content = parcel.content
    return content if isinstance(content, Dataset) else dcmread(content, force=True, stop_before_pixels=True)


def _groups(options: DemoOptions, sending: _Sending) -> Iterator[Sequence[Parcel]]:
    if options.source is not None:
        found = tuple(parcels_in(options.source))
        sending.objects.extend(one for one in found if isinstance(one, Sent))
        yield from by_study(one for one in found if isinstance(one, Parcel))
        return
    taken = datetime.now(UTC).replace(microsecond=0)
    for number in range(options.studies):
        study = phantom_study(options.seed + number, number=number, taken=taken, size=options.size)
        sending.truths[study.study_instance_uid] = study.truth
        yield [
            parcel_of(instance, f"phantom {study.seed}, image {index}")
            for index, instance in enumerate(study.instances, 1)
        ]


def _wait(database: Database, sending: _Sending, report: Report) -> dict[str, DemoOutcome]:
    moved, before = time.monotonic(), ""
    while True:
        outcomes = read_outcomes(database, sending.studies)
        report("drafting", outcomes)
        if len(outcomes) == len(sending.studies) and all(one.ended for one in outcomes.values()):
            return outcomes
        now = "|".join(f"{uid}{one.state}" for uid, one in sorted(outcomes.items()))
        if now != before:
            moved, before = time.monotonic(), now
        if time.monotonic() - moved > PATIENCE_S:
            return outcomes
        time.sleep(POLL_S)


def _collect(
    options: DemoOptions,
    place: Path,
    service: Service,
    database: Database,
    pacs: Pacs,
    sending: _Sending,
    outcomes: Mapping[str, DemoOutcome],
    ris: DemoRis | None,
) -> DemoResult:
    results = []
    store = InstanceStore(service.settings.storage.path, service.settings.storage.min_free_mb)
    for study in sending.studies:
        if study not in outcomes:
            continue
        if options.output is not None:
            for path in _images(database, store, study):
                output.write_image(place, study, path)
        documents = output.write_documents(
            place, study, pacs.documents(study), html=options.output is not None
        )
        results.append(
            StudyResult(
                outcome=outcomes[study],
                truth=sending.truths.get(study),
                sr=documents,
                order=None if ris is None else ris.orders.get(study),
                received=() if ris is None else ris.results(study),
            )
        )
    if ris is not None:
        rows = [(one.order, one.received) for one in results if one.order is not None]
        write_page(place / RIS_PAGE, rows)
    return DemoResult(
        results=results,
        objects=tuple(sending.objects),
        model=read_model(database, _worker(database), list(outcomes.values())),
        output=place,
    )


def _images(database: Database, store: InstanceStore, study: str) -> tuple[Path, ...]:
    with database.reading() as session:
        hashes = session.scalars(
            select(Instance.sha256)
            .join(Study, Study.id == Instance.study_id)
            .where(Study.study_instance_uid == study)
            .order_by(Instance.id)
        ).all()
    return tuple(store.open(one) for one in hashes)


def _worker(database: Database) -> Mapping[str, Any]:
    """Return what the worker reports about itself."""
    with database.reading() as session:
        about = session.scalar(
            select(Worker.about).where(Worker.role == "worker").order_by(Worker.seen_at.desc()).limit(1)
        )
    return about or {}
