"""What a person should do about a code: the words that stand in docs/operations.md too (a test compares)."""

from __future__ import annotations

from collections.abc import Mapping

# Codes at which a job or a document stops. Each advice begins with what to do, not with what happened.
ADVICE: Mapping[str, str] = {
    "database-unavailable": "start the database, check `database.url`; senders are asked to retry meanwhile",
    "storage-full": "free space on `storage.path`; senders retry by themselves",
    "instance-missing": "restore the file, or let the PACS send the study again",
    "instance-unreadable": "look at the sender's export; the object is in quarantine",
    "image-unreadable": "let the PACS send the study again in another transfer syntax, then `queue retry`; "
    "a study is never drafted from the rest of its images",
    "not-eligible": "nothing, if no image shows a chest; otherwise mend `eligibility`, then `queue retry`",
    "patient-conflict": "correct the patient in the PACS, send the study again",
    "demonstration-model-refused": "set `model.checkpoint`, or for a test `model.allow_demonstration: true`, "
    "then `queue retry`",
    "delivery-refused": "check in the PACS that it accepts our SOP classes and AE title, then `dead retry`",
    "delivery-failed": "nothing yet: it is retried for `delivery.give_up_after_s`; `doctor` tests the way",
    "commitment-lost": "look at the PACS's storage and its rules for deleting reports, then `dead retry`",
    "commitment-refused": "look in the PACS at the object that has our document's UID, then `dead retry`",
    "gave-up": "mend the way to the PACS (`doctor` tests it), then `dead retry`",
    "lease-expired": "look at the worker's log for what killed it, then `dead retry`",
    "unexpected": "look at the log for its place and type, then `dead retry`; tell the makers",
}
OTHERWISE = "`echo-agent queue show JOB` shows its steps; docs/operations.md explains the code"


def advice_for(code: str | None) -> str:
    """Return what to do about a code."""
    return ADVICE.get(code or "", OTHERWISE)
