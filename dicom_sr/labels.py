"""The fixed texts around the draft: series descriptions, banner, summary lines."""

from __future__ import annotations

from dicom_sr.values import BANNER, Algorithm, DraftContent, Outcome, Urgency, Verification

# VR LO holds 64 characters; 64 bytes of UTF-8 also satisfy the checkers that count bytes.
SERIES_DESCRIPTION_BYTES = 64
UNVERIFIED = "AI PRE-DRAFT, unverified: to be checked by a radiologist before any use."
FINDINGS_COMPLETION = "All findings of the analysis are listed"
REPORT_COMPLETION = "Draft by software; a radiologist has to complete and verify it"
NO_FINDINGS_COMPLETION = "There are no findings to list"
NO_DRAFT_COMPLETION = "There is no draft to complete"
NO_DRAFT = "NO AI DRAFT WAS PRODUCED."

REJECTED = "THE AI DRAFT WAS REJECTED BY A RADIOLOGIST."
WITHDRAWN = "THE REPORT OF THIS STUDY WAS WITHDRAWN. DO NOT USE IT."
NOTE_DESCRIPTION = "AI: rejection note"
VERIFIED_COMPLETION = "Verified by a radiologist"

_OUTCOME_WORDS: dict[Outcome, tuple[str, str]] = {
    "not_attempted": (NO_DRAFT, " (by policy)"),
    "failed": (NO_DRAFT, " (the analysis failed)"),
    "rejected": (REJECTED, ""),
    "withdrawn": (WITHDRAWN, ""),
}


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


def rejection_report_description(algorithm: Algorithm, outcome: Outcome) -> str:
    """Series description of document B when there is no draft."""
    what = {"rejected": "draft rejected", "withdrawn": "draft withdrawn"}.get(outcome, "no draft")
    if algorithm.demonstration:
        return f"AI: {what} {BANNER}"
    return f"AI: {what} produced" if what == "no draft" else f"AI: {what}"


def rejection_findings_description(algorithm: Algorithm, outcome: Outcome) -> str:
    """Series description of document A when there is no draft."""
    if algorithm.demonstration:
        return f"AI: no draft (data) {BANNER}"
    return f"{rejection_report_description(algorithm, outcome)} (data)"


def verified_report_description(algorithm: Algorithm) -> str:
    """Series description of document B that a radiologist verified."""
    return f"Verified report {BANNER}" if algorithm.demonstration else "Report (AI draft, verified)"


def verified_findings_description(algorithm: Algorithm) -> str:
    """Series description of document A that a radiologist verified."""
    if algorithm.demonstration:
        return f"Verified findings {BANNER}"
    return "Findings (structured, AI draft, verified)"


def summary_lines(
    algorithm: Algorithm, content: DraftContent, revision: int, notes: tuple[str, ...]
) -> tuple[str, ...]:
    """The lines before the findings: banner, urgency, flags, origin."""
    lines = [BANNER] if algorithm.demonstration else []
    lines.append(UNVERIFIED)
    if content.urgency is not None:
        lines.append(f"Priority {content.urgency.level.upper()}: {content.urgency.reason}")
    lines.extend(f"Please note: {flag}" for flag in content.flags)
    lines.append(origin(algorithm, revision))
    lines.extend(notes)
    return tuple(lines)


def verified_lines(
    algorithm: Algorithm, verification: Verification, revision: int, notes: tuple[str, ...]
) -> tuple[str, ...]:
    """The lines before a report that a radiologist has verified."""
    lines = [BANNER] if algorithm.demonstration else []
    name = " ".join(part for part in verification.observer_name.split("=")[0].split("^") if part)
    done = "edited and verified" if verification.edited else "verified without changes"
    lines.append(f"Drafted by software, {done} by {name}, {verification.organization}.")
    lines.append(origin(algorithm, revision))
    lines.extend(notes)
    return tuple(lines)


def rejection_lines(
    algorithm: Algorithm, reason: str, outcome: Outcome, revision: int, notes: tuple[str, ...]
) -> tuple[str, ...]:
    """The lines of a study without a draft."""
    lines = [BANNER] if algorithm.demonstration else []
    statement, cause = _OUTCOME_WORDS[outcome]
    lines.append(f"{statement} Reason: {reason.rstrip('. ')}{cause}.")
    lines.append(origin(algorithm, revision))
    lines.extend(notes)
    return tuple(lines)


def origin(algorithm: Algorithm, revision: int) -> str:
    """The software and the weights that wrote the document."""
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
