"""Turns the network's text into the stored and sent result: findings, urgency, flags, both documents.
Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.foundation.settings.tree import UrgencyRule
from agent.reports.flags import AFTER_VERIFICATION, each_code_once
from agent.reports.input_statistics import input_statistics
from agent.reports.material import Material, digest_of
from agent.reports.publish import NO_MODEL, Record
from agent.reports.read_back import checked
from agent.reports.urgency import ROUTINE, Assessment, assess
from dicom_sr.document import (
    Algorithm,
    DocumentPair,
    DocumentPairReference,
    DraftContent,
    SourceStudy,
    Urgency,
    build_draft,
    build_rejection,
)
from dicom_sr.values import FindingsSopClass
from dicom_sr.values import Outcome as NoticeOutcome
from model.drafts.draft import DraftFlag, DraftText, ModelIdentity

MANUFACTURER = "ECHO Agent"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """Calibrated probabilities, one (or None) for each finding, and the digest of the calibration."""

    probabilities: Sequence[float | None]
    calibration: str


def algorithm_of(identity: ModelIdentity) -> Algorithm:
    """Return the network in the form used in the documents."""
    return Algorithm(
        name=identity.name,
        version=identity.version,
        manufacturer=MANUFACTURER,
        weights_sha256=identity.weights_sha256,
        demonstration=identity.demonstration,
        parameters={"stage": identity.stage, "block size": str(identity.block_size)},
    )


def draft_record(
    draft: DraftText,
    material: Material,
    algorithm: Algorithm,
    rules: Sequence[UrgencyRule],
    *,
    revision: int,
    created: datetime,
    predecessors: Mapping[FindingsSopClass, DocumentPairReference | None],
    standing: str = "",
    certainty: Certainty | None = None,
) -> Record:
    """Return the record of a draft, with one pair of documents for each variant in `predecessors`.

    standing: in words, the verified report that the draft does not replace; empty if there is none.
    certainty: calibrated probabilities of the findings; the documents have none without it.

    Raises:
        StructuredReportError: the study or the draft cannot be encoded.
    """
    urgency = assess(tuple(draft.findings), rules)
    verified = (DraftFlag(code=AFTER_VERIFICATION, text=standing),) if standing else ()
    flags = each_code_once((*draft.flags, *material.flags, *verified))
    if certainty is not None:
        # Both documents name it as a parameter of the algorithm.
        named = {"calibration": certainty.calibration}
        algorithm = dataclasses.replace(algorithm, parameters={**algorithm.parameters, **named})
    content = _documented(draft, material, flags, urgency, certainty)
    study = SourceStudy(images=material.headers, priors=material.priors.headers)
    documents: dict[str, DocumentPair] = {
        variant: build_draft(
            study,
            content,
            algorithm,
            revision=revision,
            created=created,
            predecessors=before,
            findings_sop_class=variant,
            locale=draft.language,
        )
        for variant, before in predecessors.items()
    }
    return Record(
        model_digest=algorithm.weights_sha256,
        model_name=algorithm.name,
        demonstration=algorithm.demonstration,
        outcome="drafted",
        text=draft.text,
        content=_content(draft, flags, urgency, material.indication)
        | {"algorithm": _plain(algorithm), "images": [dataclasses.asdict(one) for one in material.lines]}
        | {"input": input_statistics(material.images)}
        | ({} if certainty is None else {"certainty": dataclasses.asdict(certainty)})
        | ({} if material.priors.kept is None else {"priors": dict(material.priors.kept)}),
        urgency=ROUTINE if urgency is None else urgency.priority,
        seconds=draft.seconds,
        documents=checked(documents, draft.findings),
    )


def _documented(
    draft: DraftText,
    material: Material,
    flags: Sequence[DraftFlag],
    urgency: Assessment | None,
    certainty: Certainty | None,
) -> DraftContent:
    """The content of the documents."""
    return DraftContent(
        findings=tuple(draft.findings),
        scores=() if certainty is None else certainty.probabilities,
        findings_sentences=[sentence.text for sentence in draft.findings_sentences],
        impression_sentences=[sentence.text for sentence in draft.impression_sentences],
        flags=[flag.text for flag in flags],
        urgency=None if urgency is None else Urgency(level=urgency.level, reason=urgency.reason),
        prior_procedures=material.priors.procedures,
        previous_findings=material.priors.findings,
    )


def notice_record(
    study: SourceStudy,
    algorithm: Algorithm,
    outcome: NoticeOutcome,
    reason: str,
    *,
    revision: int,
    created: datetime,
    predecessors: Mapping[FindingsSopClass, DocumentPairReference | None],
) -> Record:
    """Return the record of a study without draft: documents that state the reason, and no findings.

    Raises:
        StructuredReportError: the study cannot be named in a document.
    """
    documents: dict[str, DocumentPair] = {
        variant: build_rejection(
            study,
            reason,
            outcome,
            algorithm,
            revision=revision,
            created=created,
            predecessors=before,
            findings_sop_class=variant,
        )
        for variant, before in predecessors.items()
    }
    return Record(
        model_digest=NO_MODEL,
        model_name=algorithm.name,
        demonstration=algorithm.demonstration,
        outcome=outcome,
        text="",
        content={"reason": reason},
        urgency=ROUTINE,
        seconds=0.0,
        documents=checked(documents, ()),
    )


def _plain(algorithm: Algorithm) -> dict[str, Any]:
    """The algorithm as stored with the draft, so that a later revision can name it."""
    return dataclasses.asdict(algorithm) | {"parameters": dict(algorithm.parameters)}


def _content(
    draft: DraftText, flags: Sequence[DraftFlag], urgency: Assessment | None, indication: str
) -> dict[str, Any]:
    return {
        "findings": [dataclasses.asdict(finding) for finding in draft.findings],
        "question_sha256": digest_of(indication),
        "flags": [{"code": flag.code, "text": flag.text} for flag in flags],
        "sentences": {
            section: [
                {"text": one.text, "confidence": round(one.confidence, 4), "doubtful": one.doubtful}
                for one in sentences
            ]
            for section, sentences in (
                ("findings", draft.findings_sentences),
                ("impression", draft.impression_sentences),
            )
        },
        "urgency": None if urgency is None else dataclasses.asdict(urgency),
        "statistics": {"tokens": draft.tokens, "forwards": draft.forwards, "blocks": draft.blocks},
    }
