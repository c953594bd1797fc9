"""The values of the columns `code` of `prior_searches` and `report_from` of `prior_links`."""

from __future__ import annotations

# The outcomes of a search for earlier studies. If the archive failed, the code of its error is stored
# instead.
FOUND, NONE_FOUND, NOT_ASKED, LATE = "priors-found", "priors-none", "priors-not-asked", "priors-late"
PATIENT_MISMATCH, NOT_RECEIVED = "patient-mismatch", "priors-not-received"
# Outcomes that are not failures: there was nothing to find, or no key to search by.
ENDED_WELL = frozenset({FOUND, NONE_FOUND, NOT_ASKED})

# The origin of an earlier study's report.
OURS, ARCHIVE = "ours", "archive"
# The modality of the objects that hold an archive's reports.
REPORT_MODALITY = "SR"
