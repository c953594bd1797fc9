"""The values of the columns `code` of `prior_searches` and `report_from` of `prior_links`."""

from __future__ import annotations

# How a search for earlier studies ended. An archive that failed leaves the code of its error instead.
FOUND, NONE_FOUND, NOT_ASKED, LATE = "priors-found", "priors-none", "priors-not-asked", "priors-late"
PATIENT_MISMATCH, NOT_RECEIVED = "patient-mismatch", "priors-not-received"
# Outcomes that are not failures: there was nothing to find, or no key to search by.
ENDED_WELL = frozenset({FOUND, NONE_FOUND, NOT_ASKED})

# Where the report of an earlier study comes from.
OURS, ARCHIVE = "ours", "archive"
# The modality of the objects that hold an archive's reports.
REPORT_MODALITY = "SR"
