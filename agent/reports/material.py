"""Builds the network's input from a claimed job: at most one frontal and one lateral image, and the context.

The gate checks the study again first. `agent.objects.films.study` decides which of the eligible images are
read and how the others are reported. Of two contents of one SOP Instance, the later one counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom import Dataset

from agent.database.identity.order import order_of
from agent.database.identity.patient import Patient, patient_of_dataset
from agent.database.session import Database
from agent.database.tables import Study
from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import router_of
from agent.objects.films.study import ImageLine, ReadStudy, read_study
from agent.objects.pixels import StudyImage
from agent.objects.store import InstanceStore
from agent.queue import gate
from agent.queue.jobs import Claim
from agent.reports.comparison import Comparison, comparison_for
from agent.reports.flags import PRIOR_UNREAD_LANGUAGE, PRIORS_UNAVAILABLE, view_flags
from agent.reports.headers import as_told
from dicom_sr.orders import orders_of
from dicom_sr.source import text
from model.drafts.draft import DraftFlag
from model.drafts.study import ReportContext

LONGEST_INDICATION = 500
# The reason for the study; the attribute closest to the question comes first.
_INDICATION = ("ReasonForTheRequestedProcedure", "ReasonForStudy", "AdmittingDiagnosesDescription")
_HISTORY = "AdditionalPatientHistory"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The material for one draft; the frontal image comes first."""

    images: tuple[StudyImage, ...]
    indication: str
    flags: tuple[DraftFlag, ...]
    # The comparison text for the network; empty without earlier studies.
    comparison: str = ""
    # The same for the documents, with the images of those studies.
    priors: Comparison = field(default_factory=Comparison)
    # All eligible images, with the reason for each that was not read.
    lines: tuple[ImageLine, ...] = ()

    @property
    def context(self) -> ReportContext:
        """The text input of the network besides the images."""
        return ReportContext(indication=self.indication, comparison=self.comparison)

    @property
    def headers(self) -> tuple[Dataset, ...]:
        """The headers of the images, which the documents name as evidence."""
        return tuple(image.header for image in self.images)

    @property
    def patients(self) -> tuple[Patient, ...]:
        """The patients that the images name, one for each image."""
        return tuple(patient_of_dataset(header) for header in self.headers)


def gather(database: Database, store: InstanceStore, settings: Settings, claim: Claim) -> Material:
    """Choose and decode the images of a job.

    Raises:
        PatientConflict: the images name different patients.
        NotAChestStudy: no image is eligible under the rules as they are now.
        UnreadableImage: a chosen image cannot be decoded; the study is not drafted from the rest.
        ImageNotPlausible: no image of the study has a film on it.
        InstanceMissing: a file is gone.
    """
    read = read_study(
        eligible_paths(database, store, settings, claim),
        least_px=settings.plausibility.least_px,
        vocabulary=router_of(settings).vocabulary,
    )
    named = as_told(database, claim.study_id, [image.header for image in read.images])
    images = tuple(replace(image, header=header) for image, header in zip(read.images, named, strict=True))
    headers = [image.header for image in images]
    priors = comparison_for(database, store, claim, headers)
    flags = flags_of(read, incomplete=claim.incomplete)
    if priors.warning:
        flags = (*flags, DraftFlag(code=PRIORS_UNAVAILABLE, text=priors.warning))
    if priors.notices:
        flags = (*flags, DraftFlag(code=PRIOR_UNREAD_LANGUAGE, text=" ".join(priors.notices)))
    return Material(
        images=images,
        indication=question_of(database, claim.study_id) or indication_of(headers),
        flags=flags,
        comparison=priors.text,
        priors=priors,
        lines=read.lines,
    )


def flags_of(read: ReadStudy, *, incomplete: bool) -> tuple[DraftFlag, ...]:
    """Return the flags about the images of a draft; incomplete: more may follow."""
    marks = (DraftFlag(code=mark.code, text=mark.text) for mark in read.marks)
    return (*view_flags([image.view for image in read.images], incomplete=incomplete), *marks)


def eligible_paths(database: Database, store: InstanceStore, settings: Settings, claim: Claim) -> list[Path]:
    """Return the files of the eligible images of a job's study, up to its revision, in the order of arrival.

    Raises:
        PatientConflict: the images name different patients.
        NotAChestStudy: there is none.
        UnreadableImage: an image's header cannot be read.
        InstanceMissing: a file is gone.
    """
    judgement = gate.images_to_draft(database, store, settings, claim.study_id, claim.revision)
    found = []
    for one in sorted(judgement.images, key=lambda one: one.content.arrival):
        if one.content.sha256 in judgement.accepted:
            found.append(store.open(one.content.sha256))
    return found


def question_of(database: Database, study_id: int) -> str:
    """Return the clinical question of a study's order as the RIS reported it; empty without one."""
    with database.reading() as session:
        order = order_of(session, session.get_one(Study, study_id))
        return "" if order is None else one_line(order.clinical_question)


def one_line(words: str) -> str:
    """Return a text as the network receives it: one line of at most 500 characters."""
    return re.sub(r"\s+", " ", words).strip()[:LONGEST_INDICATION]


def digest_of(question: str) -> str:
    """Return the digest of the question that a draft was given, which is stored with it; empty for none.

    The text itself is about the patient, and is stored in no other row.
    """
    return hashlib.sha256(question.encode()).hexdigest() if question else ""


def indication_of(headers: Sequence[Dataset]) -> str:
    """Return the clinical question that the headers state, as one line of at most 500 characters.

    The question of the order that the images belong to; if that is uncertain, or has none, the images' own
    attributes. The question of another order is never used.
    """
    leading = orders_of(headers).leading
    stated = ["" if leading is None else leading.clinical_question]
    stated.extend(text(header, keyword) for keyword in (*_INDICATION, _HISTORY) for header in headers)
    lines = (one_line(words) for words in stated)
    return next((line for line in lines if line), "")
