"""The words around the draft: series descriptions, banner, summary lines."""

from __future__ import annotations

from dicom_sr.values import BANNER, Algorithm, DraftContent, Outcome, Urgency

# VR LO holds 64 characters; 64 bytes of UTF-8 also satisfy the checkers that count bytes.
SERIES_DESCRIPTION_BYTES = 64
UNVERIFIED = "AI PRE-DRAFT, unverified: to be checked by a radiologist before any use."
FINDINGS_COMPLETION = "All findings of the analysis are listed"
REPORT_COMPLETION = "Draft by software; a radiologist has to complete and verify it"
NOTHING_ANALYSED = "No analysis took place, so there are no findings to list"
NOTHING_DRAFTED = "No draft was produced"
NO_DRAFT = "NO AI DRAFT WAS PRODUCED."

_OUTCOME_WORDS: dict[Outcome, str] = {"not_attempted": " (by policy)", "failed": " (the analysis failed)"}


def report_description(algorithm: Algorithm, urgency: Urgency | None) -> str:
    """Series description of document B."""
    if algorithm.demonstration:
        return _described(f"AI report {BANNER}", urgency)
    return _described("AI PRE-DRAFT report (unverified)", urgency)


def findings_description(algorithm: Algorithm, urgency: Urgency | None) -> str:
    """Series description of document A."""
    if algorithm.demonstration:
        return _described(f"AI findings {BANNER}", urgency)
    return _described("AI findings (structured, unverified)", urgency)


def rejection_report_description(algorithm: Algorithm) -> str:
    """Series description of document B when there is no draft."""
    return f"AI: no draft {BANNER}" if algorithm.demonstration else "AI: no draft produced"


def rejection_findings_description(algorithm: Algorithm) -> str:
    """Series description of document A when there is no draft."""
    return f"AI: no draft (data) {BANNER}" if algorithm.demonstration else "AI: no draft produced (data)"


def summary_lines(
    algorithm: Algorithm, content: DraftContent, revision: int, notes: tuple[str, ...]
) -> tuple[str, ...]:
    """What a reader must know before the findings: banner, urgency, flags, origin."""
    lines = [BANNER] if algorithm.demonstration else []
    lines.append(UNVERIFIED)
    if content.urgency is not None:
        lines.append(f"Priority {content.urgency.level.upper()}: {content.urgency.reason}")
    lines.extend(f"Please note: {flag}" for flag in content.flags)
    lines.append(origin(algorithm, revision))
    lines.extend(notes)
    return tuple(lines)


def rejection_lines(
    algorithm: Algorithm, reason: str, outcome: Outcome, revision: int, notes: tuple[str, ...]
) -> tuple[str, ...]:
    """What a reader finds when there is no draft."""
    lines = [BANNER] if algorithm.demonstration else []
    lines.append(f"{NO_DRAFT} Reason: {reason.rstrip('. ')}{_OUTCOME_WORDS[outcome]}.")
    lines.append(origin(algorithm, revision))
    lines.extend(notes)
    return tuple(lines)


def origin(algorithm: Algorithm, revision: int) -> str:
    """Which software and weights wrote the document."""
    digest = algorithm.weights_sha256[:12] or "unknown"
    return (
        f"Algorithm: {algorithm.name} {algorithm.version}, {algorithm.manufacturer}, "
        f"weights {digest}; report revision {revision}."
    )


def _described(base: str, urgency: Urgency | None) -> str:
    """The base with as much of the urgency as 64 characters hold; the Summary has all of it."""
    if urgency is None:
        return base
    level = f" {urgency.level.upper()}"
    for suffix in (f"{level}: {urgency.reason}", level):
        if len((base + suffix).encode()) <= SERIES_DESCRIPTION_BYTES:
            return base + suffix
    return base
