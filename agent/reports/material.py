"""From a claimed job to the network's input: at most one frontal and one lateral image, and the context.

The gate judges the study again first. The rule of choice: of the eligible images the newest frontal one
(where none states that it is frontal, the newest that states no view), and the newest lateral one. "Newest"
is by acquisition time, then by arrival: a repeated film replaces the first. When one SOP Instance arrived
with two contents, the later content counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from agent.database.session import Database
from agent.foundation.settings.tree import Settings
from agent.objects.pixels import StudyImage, load_header, load_image
from agent.objects.projection import View, view_of
from agent.objects.store import InstanceStore
from agent.priors.comparison import Comparison, comparison_for
from agent.queue import gate
from agent.queue.jobs import Claim
from agent.reports.flags import PRIORS_UNAVAILABLE, view_flags
from dicom_sr.orders import orders_of
from dicom_sr.source import text
from model.drafts.draft import DraftFlag
from model.drafts.study import ReportContext

LONGEST_INDICATION = 500
# Why the study was asked for, the closest to the question first.
_INDICATION = ("ReasonForTheRequestedProcedure", "ReasonForStudy", "AdmittingDiagnosesDescription")
_HISTORY = "AdditionalPatientHistory"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What one draft is made from; the frontal image comes first."""

    images: tuple[StudyImage, ...]
    indication: str
    flags: tuple[DraftFlag, ...]
    # What is known of earlier studies, in words for the network; empty when nothing is.
    comparison: str = ""
    # The same for the documents, with the images of those studies.
    priors: Comparison = field(default_factory=Comparison)

    @property
    def context(self) -> ReportContext:
        """What the network is told besides the images."""
        return ReportContext(indication=self.indication, comparison=self.comparison)

    @property
    def headers(self) -> tuple[Dataset, ...]:
        """The headers of the images, which the documents name as evidence."""
        return tuple(image.header for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """An eligible image before its pixels are decoded; `arrival` grows with the time of receipt."""

    path: Path
    header: Dataset
    view: View
    arrival: int


def gather(database: Database, store: InstanceStore, settings: Settings, claim: Claim) -> Material:
    """Choose and decode the images of a job.

    Raises:
        PatientConflict: the images name different patients.
        NotAChestStudy: no image is eligible under the rules as they are now.
        UnreadableImage: a chosen image cannot be decoded; the study is not drafted from the rest.
        InstanceMissing: a file is gone.
    """
    chosen = choose(candidates(database, store, settings, claim))
    images = tuple(load_image(one.path) for one in chosen)
    headers = [image.header for image in images]
    priors = comparison_for(database, store, claim, headers)
    flags = view_flags([image.view for image in images], incomplete=claim.incomplete)
    if priors.warning:
        flags = (*flags, DraftFlag(code=PRIORS_UNAVAILABLE, text=priors.warning))
    return Material(
        images=images,
        indication=indication_of(headers),
        flags=flags,
        comparison=priors.text,
        priors=priors,
    )


def candidates(database: Database, store: InstanceStore, settings: Settings, claim: Claim) -> list[Candidate]:
    """Return the eligible images of a job's study, up to its revision, in the order of arrival.

    Raises:
        PatientConflict: the images name different patients.
        NotAChestStudy: there is none.
        UnreadableImage: an image's header cannot be read.
        InstanceMissing: a file is gone.
    """
    judgement = gate.images_to_draft(database, store, settings, claim.study_id, claim.revision)
    found = []
    for one in judgement.images:
        if one.content.sha256 not in judgement.accepted:
            continue
        path = store.open(one.content.sha256)
        header = load_header(path)
        found.append(Candidate(path=path, header=header, view=view_of(header), arrival=one.content.arrival))
    return found


def choose(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Choose the newest frontal and the newest lateral image; the frontal one comes first."""
    frontal = _newest(found, "frontal") or _newest(found, "unknown")
    lateral = _newest(found, "lateral")
    return tuple(one for one in (frontal, lateral) if one is not None)


def indication_of(headers: Sequence[Dataset]) -> str:
    """Return the clinical question that the headers state, as one line of at most 500 characters.

    The question of the order that the images belong to; where that is not certain, or asks nothing, what the
    images themselves say. The question of another order is never used.
    """
    leading = orders_of(headers).leading
    stated = ["" if leading is None else leading.clinical_question]
    stated.extend(text(header, keyword) for keyword in (*_INDICATION, _HISTORY) for header in headers)
    lines = (re.sub(r"\s+", " ", words).strip() for words in stated)
    return next((line for line in lines if line), "")[:LONGEST_INDICATION]


def _newest(found: Sequence[Candidate], view: View) -> Candidate | None:
    of_view = [one for one in found if one.view == view]
    return max(of_view, key=lambda one: (_taken(one.header), one.arrival), default=None)


def _taken(header: Dataset) -> str:
    """Return the acquisition's date and time as digits that sort by time; empty where unknown."""
    for date, time in (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime")):
        digits = re.sub(r"\D", "", text(header, date)), re.sub(r"\D", "", text(header, time))
        if len(digits[0]) == 8 and digits[1]:
            return digits[0] + digits[1]
    return ""
