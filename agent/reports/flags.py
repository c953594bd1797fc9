"""Warnings for the reader of a draft, one flag per code. Pure.

The model package flags defects of its text (`model.drafts.draft.FlagCode`). Only the service knows which
images and earlier studies were read: those flags are made here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.drafts.draft import DraftFlag
from model.drafts.study import View

NO_LATERAL = DraftFlag(code="missing_lateral", text="Drafted from the frontal view alone: no lateral view.")
NO_FRONTAL = DraftFlag(code="missing_frontal", text="Drafted from the lateral view alone: no frontal view.")
UNKNOWN_VIEW = DraftFlag(
    code="unknown_view", text="The image does not state its view; it was read as frontal."
)
INCOMPLETE = DraftFlag(
    code="incomplete_study", text="Drafted before the study was complete: later images are not included."
)
# A draft whose wanted earlier studies are missing.
PRIORS_UNAVAILABLE = "priors_unavailable"
# A prior's report is in a language without a pack: it was not given to the network.
PRIOR_UNREAD_LANGUAGE = "prior_unread_language"
# The RIS has merged the patient with another one since the draft was written.
PATIENT_MERGED = "patient_merged"
# A draft of a study whose report a radiologist has already verified.
AFTER_VERIFICATION = "after_verification"


def view_flags(views: Sequence[View], *, incomplete: bool) -> tuple[DraftFlag, ...]:
    """Return the flags about the images that were read; incomplete: more may follow."""
    flags = []
    if "frontal" not in views:
        flags.append(UNKNOWN_VIEW if "unknown" in views else NO_FRONTAL)
    if "lateral" not in views:
        flags.append(NO_LATERAL)
    if incomplete:
        flags.append(INCOMPLETE)
    return tuple(flags)


def each_code_once(flags: Iterable[DraftFlag]) -> tuple[DraftFlag, ...]:
    """Return one flag for each code, in the order of first mention; different texts of one code are joined.

    The list's filters and the documents use the code: two flags with one code would be counted twice, and a
    flag dropped in favour of another text would not be found.
    """
    texts: dict[str, dict[str, None]] = {}
    for flag in flags:
        texts.setdefault(str(flag.code), {})[flag.text] = None
    return tuple(DraftFlag(code=code, text=" ".join(words)) for code, words in texts.items())
