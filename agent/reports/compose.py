"""What the network wrote, to what is kept and sent: findings, urgency, flags, and both documents. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from agent.foundation.settings.tree import UrgencyRule
from agent.reports.material import Material, Remark
from agent.reports.publish import NO_MODEL, Record
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
from model.findings.types import Finding

MANUFACTURER = "ECHO Agent"
# The flag of a draft whose study has a verified report already.
AFTER_VERIFICATION = "after_verification"


class Identity(Protocol):
    """Which network a reporter holds (`model.reporting.reporter.ModelIdentity`)."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def version(self) -> str:
        """The model's version."""

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights."""

    @property
    def demonstration(self) -> bool:
        """Whether it is for demonstration only."""

    @property
    def block_size(self) -> int:
        """Tokens a block."""

    @property
    def stage(self) -> str:
        """The training stage that it came from."""


class Sentence(Protocol):
    """One sentence of a draft (`model.reporting.reporter.DraftSentence`)."""

    @property
    def text(self) -> str:
        """The sentence."""

    @property
    def confidence(self) -> float:
        """The decoder's confidence in [0, 1]; not calibrated."""

    @property
    def doubtful(self) -> bool:
        """Whether the reader should doubt it."""


class Flag(Protocol):
    """Something that is wrong with a draft (`model.reporting.reporter.DraftFlag`)."""

    @property
    def code(self) -> str:
        """A stable word."""

    @property
    def text(self) -> str:
        """The same for a radiologist."""


class Draft(Protocol):
    """A draft as the network wrote it (`model.reporting.reporter.DraftText`)."""

    @property
    def findings_sentences(self) -> Sequence[Sentence]:
        """The sentences under Findings."""

    @property
    def impression_sentences(self) -> Sequence[Sentence]:
        """The sentences under Impression."""

    @property
    def text(self) -> str:
        """The whole text."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was read in the text."""

    @property
    def flags(self) -> Sequence[Flag]:
        """What is wrong with it."""

    @property
    def tokens(self) -> int:
        """Length in tokens."""

    @property
    def forwards(self) -> int:
        """Passes through the network."""

    @property
    def blocks(self) -> int:
        """Blocks decoded."""

    @property
    def seconds(self) -> float:
        """Time in the network."""


def algorithm_of(identity: Identity) -> Algorithm:
    """Return the network as the documents name it."""
    return Algorithm(
        name=identity.name,
        version=identity.version,
        manufacturer=MANUFACTURER,
        weights_sha256=identity.weights_sha256,
        demonstration=identity.demonstration,
        parameters={"stage": identity.stage, "block size": str(identity.block_size)},
    )


def draft_record(
    draft: Draft,
    material: Material,
    algorithm: Algorithm,
    rules: Sequence[UrgencyRule],
    *,
    revision: int,
    created: datetime,
    predecessors: Mapping[FindingsSopClass, DocumentPairReference | None],
    standing: str = "",
) -> Record:
    """Return the record of a draft, with one pair of documents for each variant in `predecessors`.

    standing: in words, the verified report that the draft does not replace; empty where there is none.

    Raises:
        StructuredReportError: the study or the draft cannot be encoded.
    """
    urgency = assess(tuple(draft.findings), rules)
    verified = (Remark(code=AFTER_VERIFICATION, text=standing),) if standing else ()
    flags = _each_once((*draft.flags, *material.remarks, *verified))
    content = DraftContent(
        findings=tuple(draft.findings),
        findings_sentences=[sentence.text for sentence in draft.findings_sentences],
        impression_sentences=[sentence.text for sentence in draft.impression_sentences],
        flags=[flag.text for flag in flags],
        urgency=None if urgency is None else Urgency(level=urgency.level, reason=urgency.reason),
        prior_procedures=material.priors.procedures,
        previous_findings=material.priors.findings,
    )
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
        )
        for variant, before in predecessors.items()
    }
    return Record(
        model_digest=algorithm.weights_sha256,
        model_name=algorithm.name,
        demonstration=algorithm.demonstration,
        outcome="drafted",
        text=draft.text,
        content=_content(draft, flags, urgency)
        | {"algorithm": _plain(algorithm)}
        | ({} if material.priors.kept is None else {"priors": dict(material.priors.kept)}),
        urgency=ROUTINE if urgency is None else urgency.priority,
        seconds=draft.seconds,
        documents=documents,
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
    """Return the record of a study without draft: documents that say so and why, and no finding.

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
        documents=documents,
    )


def _plain(algorithm: Algorithm) -> dict[str, Any]:
    """The algorithm as it is kept with the draft, so that a later revision can name it."""
    return dataclasses.asdict(algorithm) | {"parameters": dict(algorithm.parameters)}


def _each_once(flags: Sequence[Flag | Remark]) -> tuple[Flag | Remark, ...]:
    """Drop what is said twice: the network and the choice of images may remark on the same thing."""
    return tuple({flag.text: flag for flag in reversed(flags)}.values())[::-1]


def _content(draft: Draft, flags: Sequence[Flag | Remark], urgency: Assessment | None) -> dict[str, Any]:
    return {
        "findings": [dataclasses.asdict(finding) for finding in draft.findings],
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
