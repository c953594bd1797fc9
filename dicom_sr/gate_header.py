"""The gate's rules on a document's header: character set, legal state, author, series, banner."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_sr import tree
from dicom_sr.problem import Problem
from dicom_sr.values import BANNER

# Flag -> its value while no person has verified the document, and afterwards.
_FLAGS = {
    "VerificationFlag": ("UNVERIFIED", "VERIFIED"),
    "PreliminaryFlag": ("PRELIMINARY", "FINAL"),
}


def header_problems(document: Dataset, completion: str, demonstration: bool | None) -> Iterator[Problem]:
    """`completion` is what the Completion Flag of an unverified document must be."""
    if tree.words(document, "SpecificCharacterSet") != "ISO_IR 192":
        yield Problem(code="character_set", where="SpecificCharacterSet", text="must be ISO_IR 192 (UTF-8)")
    yield from _legal_state(document, completion)
    authors = tree.items(document, "AuthorObserverSequence")
    # Only a report that a person has verified may name a person as its author.
    verified = bool(tree.items(document, "VerifyingObserverSequence"))
    allowed = {"DEV", "PSN"} if verified else {"DEV"}
    if not authors or any(tree.words(author, "ObserverType") not in allowed for author in authors):
        yield Problem(
            code="author", where="AuthorObserverSequence", text="must name a device (DEV) as author"
        )
    if not tree.items(document, "ContributingEquipmentSequence"):
        yield Problem(code="equipment", where="ContributingEquipmentSequence", text="must name the algorithm")
    description = tree.words(document, "SeriesDescription")
    if not description:
        yield Problem(code="series_description", where="SeriesDescription", text="must not be empty")
    for keyword in ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"):
        if keyword not in document:
            yield Problem(code="type_2", where=keyword, text="must be there, if only empty")
    if not tree.items(document, "ReferencedRequestSequence"):
        yield Problem(code="request", where="ReferencedRequestSequence", text="must name the request")
    yield from _banner(document, description, demonstration)


def _legal_state(document: Dataset, completion: str) -> Iterator[Problem]:
    observers = tree.items(document, "VerifyingObserverSequence")
    is_verified = bool(observers)
    expected = {"CompletionFlag": "COMPLETE" if is_verified else completion}
    expected |= {flag: after if is_verified else before for flag, (before, after) in _FLAGS.items()}
    for flag, value in expected.items():
        if tree.words(document, flag) != value:
            yield Problem(code="flag", where=flag, text=f"must be {value}")
    for observer in observers:
        for keyword in ("VerifyingObserverName", "VerifyingOrganization", "VerificationDateTime"):
            if not tree.words(observer, keyword):
                yield Problem(code="verifying_observer", where=keyword, text="must not be empty")


def _banner(document: Dataset, description: str, demonstration: bool | None) -> Iterator[Problem]:
    """The demonstration banner stands in both the series description and the text, or in neither."""
    in_series = BANNER in description
    in_text = any(BANNER in tree.words(item, "TextValue") for item in tree.descendants(document))
    wanted = (in_series or in_text) if demonstration is None else demonstration
    for where, found in (("SeriesDescription", in_series), ("ContentSequence", in_text)):
        if wanted and not found:
            yield Problem(code="banner", where=where, text=f"must carry {BANNER!r}")
        if found and not wanted:
            yield Problem(code="banner", where=where, text="carries the banner of a demonstration model")
