"""Which status a study's next message has."""

from __future__ import annotations

import itertools

import pytest

from agent.messages.result_status import ResultStatus, SentResult, next_status

OUTCOMES = ("drafted", "verified", "rejected", "not_attempted", "failed")


def _told(status: ResultStatus, *, on_basis: bool = True, was_final: bool | None = None) -> SentResult:
    verified = status in (ResultStatus.FINAL, ResultStatus.CORRECTED)
    return SentResult(
        status=status,
        draft_id=1,
        on_basis=on_basis,
        was_final=verified if was_final is None else was_final,
    )


ALL_TOLD = [
    None,
    *(
        _told(status, on_basis=on_basis, was_final=was_final)
        for status in ResultStatus
        for on_basis in (True, False)
        for was_final in (True, False)
    ),
]


@pytest.mark.parametrize(("outcome", "told"), list(itertools.product(OUTCOMES, ALL_TOLD)))
def test_status_of_what_nobody_verified_is_never_a_verified_one(
    outcome: str, told: SentResult | None
) -> None:
    """Only a radiologist's verdict makes a result final or corrected, whatever was sent before."""
    status = next_status(outcome, told)
    assert (status in (ResultStatus.FINAL, ResultStatus.CORRECTED)) == (outcome == "verified")


@pytest.mark.parametrize("outcome", ["drafted", "not_attempted", "failed"])
@pytest.mark.parametrize("stands", [ResultStatus.FINAL, ResultStatus.CORRECTED])
def test_status_verified_result_is_never_replaced_by_software(outcome: str, stands: ResultStatus) -> None:
    """No draft and no notice follows a result that a radiologist verified."""
    assert next_status(outcome, _told(stands)) is None


@pytest.mark.parametrize("outcome", ["rejected", "not_attempted", "failed"])
def test_status_nothing_is_taken_back_that_was_never_told(outcome: str) -> None:
    """A receiver that has no result of a study is sent nothing when there is none."""
    assert next_status(outcome, None) is None
    assert next_status(outcome, _told(ResultStatus.WITHDRAWN)) is None


@pytest.mark.parametrize("outcome", ["rejected", "not_attempted", "failed"])
def test_status_draft_that_was_told_is_taken_back(outcome: str) -> None:
    """A draft that the receiver has is withdrawn, even if a newer one never reached it."""
    assert next_status(outcome, _told(ResultStatus.UNVERIFIED)) is ResultStatus.WITHDRAWN
    assert next_status(outcome, _told(ResultStatus.UNVERIFIED, on_basis=False)) is ResultStatus.WITHDRAWN


def test_status_rejection_takes_a_verified_result_back_only_if_it_judges_it() -> None:
    """The rejection of a newer draft leaves the verified report unchanged."""
    assert next_status("rejected", _told(ResultStatus.FINAL)) is ResultStatus.WITHDRAWN
    assert next_status("rejected", _told(ResultStatus.FINAL, on_basis=False)) is None


def test_status_second_verdict_is_a_correction() -> None:
    """The first verdict is final; every later verdict is a correction, also after a withdrawal."""
    assert next_status("verified", _told(ResultStatus.UNVERIFIED)) is ResultStatus.FINAL
    assert next_status("verified", _told(ResultStatus.FINAL)) is ResultStatus.CORRECTED
    assert next_status("verified", _told(ResultStatus.WITHDRAWN, was_final=True)) is ResultStatus.CORRECTED
    assert next_status("verified", _told(ResultStatus.WITHDRAWN)) is ResultStatus.FINAL
