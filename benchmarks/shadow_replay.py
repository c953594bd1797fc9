"""Replay of phantom studies through shadow mode: are its figures those of the truth?

    python -m benchmarks.shadow_replay [--studies 2000] [--database URL]

Every study is received, gets a draft in shadow mode (the phantom's findings with errors of known kinds,
written by the worker's writer), and is signed with a text that the dictation grammar makes of the phantom.
The figures of `agent.shadow.accuracy` over the database's rows are then compared with counts that come from
the phantoms and the errors alone (`benchmarks.shadow_truth`), in all groups.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now, open_engine
from agent.database.states import JobState
from agent.database.tables import Base, Job, Study
from agent.foundation.settings.tree import Settings, ShadowSettings, SiteSettings
from agent.objects.films.choosing.view import view_of
from agent.objects.header import read_stored
from agent.objects.pixels import StudyImage, load_header, load_image
from agent.objects.store import InstanceStore
from agent.queue.states import move
from agent.receive.intake import Intake
from agent.reports import publish
from agent.reports.compose import draft_record
from agent.reports.material import Material
from agent.shadow.accuracy import Grouping, accuracy
from agent.shadow.comparing import compare_due, compared_studies
from agent.shadow.signed import SignedText, enter
from benchmarks.shadow_truth import Drawn, drawn, figures_of, true_figures
from dicom_sr.document import Algorithm
from model.drafts.draft import DraftSentence, DraftText
from model.findings.extract import extract_findings
from model.findings.wording import normalised_report
from model.phantom import PHANTOM_CONCEPTS, dictated_report, draw_spec
from tests.support.films import chest_film, file_bytes

FIRST_SEED = 5_000_000
BEGIN = datetime(2026, 6, 3, 8, tzinfo=UTC)
SITES = ("north", "south")
SETTINGS = Settings(
    shadow=ShadowSettings(mode="shadow"),
    sites=tuple(SiteSettings(name=one, calling_ae_titles=(one.upper(),)) for one in SITES),
)
GROUPINGS: tuple[Grouping, ...] = ("all", "site", "device", "month", "model")
ALGORITHM = Algorithm(
    name="canned", version="1", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=False
)


def canned(study: Drawn) -> DraftText:
    """Return the draft of a study: the findings that its errors have left, in the normalised wording."""
    text = normalised_report(study.drafted).text
    findings = extract_findings(text)
    return DraftText(
        findings_sentences=tuple(
            DraftSentence(text=one, confidence=0.9) for one in dict.fromkeys(f.evidence for f in findings)
        ),
        impression_sentences=(),
        text=text,
        findings=findings,
        flags=(),
        tokens=8,
        forwards=1,
        blocks=1,
        seconds=0.1,
    )


def replay(database: Database, folder: Path, studies: Sequence[Drawn]) -> None:
    """Receive, draft, sign and compare the studies."""
    store = InstanceStore(folder, 0)
    intake = Intake(database, SETTINGS.studies, SETTINGS.site_of)
    for one in studies:
        digest = _receive(store, intake, one)
        path = store.open(digest)
        image = load_image(path, view_of(load_header(path)))
        with database.transaction() as session:
            _draft(session, one, image)
            enter(session, _signed(one), database_now(session))
    while compare_due(database):
        pass


def _draft(session: Session, one: Drawn, image: StudyImage) -> None:
    """Write a study's draft as the worker does; in shadow mode it has no documents, so none are built."""
    job = session.scalars(
        select(Job).join(Study, Study.id == Job.study_id).where(Study.study_instance_uid == one.uid)
    ).one()
    record = draft_record(
        canned(one),
        Material(images=(image,), indication="", flags=()),
        ALGORITHM,
        SETTINGS.urgency,
        revision=job.revision,
        created=one.at,
        predecessors={},
    )
    for state in (JobState.QUEUED, JobState.GENERATING, JobState.DRAFTED):
        move(session, job, state, now=one.at, admitted=state is JobState.QUEUED)
    publish.write(session, job, record, ALGORITHM, SETTINGS, now=one.at)


def _receive(store: InstanceStore, intake: Intake, one: Drawn) -> str:
    film = chest_film(
        StudyInstanceUID=one.uid,
        SeriesInstanceUID=f"{one.uid}.1",
        SOPInstanceUID=f"{one.uid}.1.1",
        PatientID=f"P{one.seed}",
        AccessionNumber=f"A{one.seed}",
        Manufacturer="ACME",
        ManufacturerModelName=one.device,
    )
    file = store.put([file_bytes(film)])
    intake.receive(read_stored(store.open(file.sha256)), file, one.site.upper())
    return file.sha256


def _signed(one: Drawn) -> SignedText:
    """The signed report, by study UID or, as many archives have it, by accession number and patient."""
    spec = draw_spec(one.seed)
    by_uid = one.seed % 2 == 0
    return SignedText(
        source="csv",
        key=one.uid,
        text=dictated_report(spec, spec.chance("dictate")),
        signed_at=one.at + timedelta(hours=2),
        study_instance_uid=one.uid if by_uid else "",
        accession_number="" if by_uid else f"A{one.seed}",
        patient_id="" if by_uid else f"P{one.seed}",
    )


def studies_of(count: int) -> list[Drawn]:
    """Draw the studies: two sites, three devices, spread over four months."""
    step = timedelta(days=120) / count
    return [
        drawn(
            FIRST_SEED + number,
            site=SITES[number % 2],
            device=f"DX {number % 3}",
            at=BEGIN + number * step,
        )
        for number in range(count)
    ]


def differences(database: Database, studies: Sequence[Drawn]) -> Iterator[str]:
    """Yield every figure that differs from the truth's."""
    with database.reading() as session:
        compared = compared_studies(session)
    if len(compared) != len(studies):
        yield f"{len(compared)} of {len(studies)} studies are compared"
    for grouping in GROUPINGS:
        found = {group.name: figures_of(group, PHANTOM_CONCEPTS) for group in accuracy(compared, grouping)}
        true = true_figures(studies, grouping)
        if set(found) != set(true):
            yield f"{grouping}: groups {sorted(found)}, in truth {sorted(true)}"
        for name, concepts in true.items():
            for concept, figures in concepts.items():
                mine = found.get(name, {}).get(concept)
                if mine != figures:
                    yield f"{grouping} {name} {concept}: {mine}, in truth {figures}"


def undictated(studies: Iterable[Any]) -> int:
    """Count the readings of concepts that no phantom has: errors of the reader, not of the comparison."""
    return sum(pair.signed.positive is True for study in studies for concept, pair in study.pairs.items()
               if concept not in PHANTOM_CONCEPTS)  # fmt: skip


def main() -> int:
    """Replay, and print the figures that differ, if any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    studies = studies_of(given.studies)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(open_engine(given.database or f"sqlite:///{folder}/replay.db"))
        Base.metadata.create_all(database.engine)
        begun = monotonic()
        replay(database, Path(folder) / "files", studies)
        seconds = monotonic() - begun
        wrong = list(differences(database, studies))
        with database.reading() as session:
            compared = compared_studies(session)
        counted = sum(len(one) for by in GROUPINGS for one in true_figures(studies, by).values())
        print(f"{len(compared)} studies in {seconds:.0f} s; {counted} rows of figures, {len(wrong)} differ")
        print(
            f"concepts read in signed texts although the grammar did not dictate them: {undictated(compared)}"
        )
        for line in wrong[:20]:
            print(line)
        database.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
