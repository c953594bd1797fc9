"""A draft report as a value, and the network that wrote it. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model.findings.types import Finding


class FlagCode(StrEnum):
    """The defects of a text that the network's own review finds."""

    GARBLED = "garbled"
    CONTRADICTION = "contradiction"
    LOW_CONFIDENCE = "low_confidence"
    TRUNCATED = "truncated"
    UNREAD_LANGUAGE = "unread_language"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFlag:
    """One caution: a stable code (a `FlagCode`, or one of the service's), and words for a radiologist."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSentence:
    """One sentence; confidence: the least probability in 0..1 of its tokens (not calibrated).

    doubtful: it reads as broken, or its confidence is low, also after it was decoded again.
    """

    text: str
    confidence: float
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftText:
    """A draft report.

    tokens: generated, including the end token; forwards: forward passes for them, including prefills and
    repeats; blocks: of the final report; seconds: wall-clock time from taking the study to the finished
    draft, while others are decoded too. repeated_blocks: decoded a second time because the first reading was
    doubtful; repeat_forwards: forward passes for that, part of `forwards`. language: the tag of the text (RFC
    5646), `und` where no language pack reads it.
    """

    findings_sentences: tuple[DraftSentence, ...]
    impression_sentences: tuple[DraftSentence, ...]
    text: str
    findings: tuple[Finding, ...]
    flags: tuple[DraftFlag, ...]
    tokens: int
    forwards: int
    blocks: int
    seconds: float
    repeated_blocks: int = 0
    repeat_forwards: int = 0
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model that writes the drafts, as named in a report's algorithm identification.

    weights_sha256: 64 hexadecimal digits. stage: its last training stage (`model.network.config.Stage`).
    """

    name: str
    version: str
    weights_sha256: str
    demonstration: bool
    licence: str
    block_size: int
    stage: str
