"""The comparison of a draft: the texts for the network and the documents, and the images to reference.

Only studies that are still stored, and still name the same patient, are used: the search may be days old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from agent.database.identity.patient import patient_of_dataset, same_patient
from agent.database.priors import ENDED_WELL, LATE, PATIENT_MISMATCH
from agent.database.session import Database
from agent.database.tables import PriorSearch, Study
from agent.foundation.errors import UnreadableImage
from agent.objects.pixels import load_header
from agent.objects.store import InstanceStore
from agent.queue.jobs import Claim
from agent.reports.earlier_studies import PriorStudy, priors_of_job, spoken_date
from dicom_sr.errors import StructuredReportError
from model.findings.extract import read_report

# Images of one earlier study that a document names.
MOST_IMAGES = 4
_WITHOUT = "Drafted without earlier studies: the archive did not deliver them in time."
_MISMATCH = "Drafted without earlier studies: those in the archive may be of another patient."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Earlier studies for one draft; all empty if there are none.

    procedures, findings: sentences about the earlier studies, and about their findings. unread: those of
    `findings` in a language that cannot be read: for the documents, not for the network. notices: what the
    reader must know about them. headers: of their images, which the documents name as other evidence.
    warning: a warning for the reader, such as that the archive did not answer. kept: stored with the draft;
    None if no archive was asked.
    """

    procedures: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    headers: tuple[Dataset, ...] = ()
    warning: str = ""
    kept: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The comparison as the network's input states it."""
        return " ".join((*self.procedures, *(one for one in self.findings if one not in self.unread)))


def comparison_for(
    database: Database, store: InstanceStore, claim: Claim, current: Sequence[Dataset]
) -> Comparison:
    """Return what a claimed job's draft is compared with; `current` are the headers of its own images."""
    with database.reading() as session:
        search = session.get(PriorSearch, claim.job_id)
        if search is None:
            return Comparison()
        study = session.get_one(Study, claim.study_id)
        found = priors_of_job(session, study, claim.job_id)
    code = search.code or LATE
    used = [(prior, headers) for prior in found if (headers := _headers(store, prior, current))]
    reported = [prior for prior, _headers in used if prior.report]
    said = {_reported(prior): read_report(prior.report) for prior in reported}
    return Comparison(
        procedures=tuple(_procedure(prior) for prior, _headers in used),
        findings=tuple(said),
        unread=frozenset(sentence for sentence, reading in said.items() if not reading.language),
        notices=tuple(
            f"Report of {spoken_date(prior.study_date)}: {notice}"
            for prior in reported
            for notice in said[_reported(prior)].notices
        ),
        headers=tuple(header for _prior, headers in used for header in headers),
        warning="" if code in ENDED_WELL else _MISMATCH if code == PATIENT_MISMATCH else _WITHOUT,
        kept={
            "code": code,
            "used": [
                {
                    "study_instance_uid": prior.study_instance_uid,
                    "study_date": prior.study_date,
                    "report_from": prior.report_from,
                }
                for prior, _headers in used
            ],
        },
    )


def _headers(store: InstanceStore, prior: PriorStudy, current: Sequence[Dataset]) -> list[Dataset]:
    """Return the headers of an earlier study's images; empty if one belongs to another patient."""
    headers = []
    try:
        for image in prior.images[:MOST_IMAGES]:
            path = store.open(image.sha256)
            if not path.is_file():
                continue
            header = load_header(path)
            if not all(_same(header, one) for one in current):
                return []
            headers.append(header)
    except (UnreadableImage, StructuredReportError):
        return []
    return headers


def _same(one: Dataset, other: Dataset) -> bool:
    return same_patient(patient_of_dataset(one), patient_of_dataset(other))


def _reported(prior: PriorStudy) -> str:
    return f"Report of {spoken_date(prior.study_date)}: {prior.report}"


def _procedure(prior: PriorStudy) -> str:
    described = f" ({prior.study_description})" if prior.study_description else ""
    count = len(prior.images)
    films = "1 image" if count == 1 else f"{count} images"
    return f"Earlier radiograph of {spoken_date(prior.study_date)}{described}, {films}."
