"""The values of a chest report: findings with presence, side, place, severity and change.

All other code uses these types: phantoms draw them, the network's text is read into them, Structured Reports
encode them. They depend on neither torch, DICOM nor SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Presence(StrEnum):
    """What a report says about a finding. *Not mentioned* is the absence of a `Finding`, never a value."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"


class Laterality(StrEnum):
    """Side of the body, as the patient's (DICOM CID 244)."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


class Severity(StrEnum):
    """Grade (DICOM CID 3716); small, trace and tiny read as mild, large and gross as severe."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Change(StrEnum):
    """Change since the comparison study, when the text states one."""

    NEW = "new"
    INCREASED = "increased"
    DECREASED = "decreased"
    UNCHANGED = "unchanged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One statement of a report about one concept.

    `concept` is a key of `vocabulary.yaml`; `location` a key of its `locations` (a zone or a place,
    such as `lower_zone`); `evidence` the sentence of the report that says so (empty only for the
    truth of a phantom, which no sentence states). `span` is where the evidence is in the report,
    [start, end) in characters of the text as it was given; it does not make two findings different.
    """

    concept: str
    presence: Presence
    laterality: Laterality | None = None
    location: str | None = None
    severity: Severity | None = None
    change: Change | None = None
    evidence: str = ""
    span: tuple[int, int] | None = field(default=None, compare=False)
