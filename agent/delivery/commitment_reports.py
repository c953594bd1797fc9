"""N-EVENT-REPORT: a PACS's reports on storage commitment, on any association.

Source: PS3.4 J.3.3 (operations), PS3.7 10.1.1 and annex C (statuses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from pydicom import Dataset
from pynetdicom import evt

from agent.database.audit.record import Action, Event
from agent.database.session import Database
from agent.delivery import commitments
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.failpoints import failpoint
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.network.commitment_scp import ReportStatus
from agent.network.commitment_scu import WELL_KNOWN_INSTANCE
from agent.network.commitment_terms import (
    CommitmentAnswer,
    CommitmentReport,
    CommitmentResult,
    CommitmentRule,
    Reception,
)
from agent.network.statuses import failure_reason
from dicom_sr.attributes import integer

_SUCCESS, _WITH_FAILURES = 1, 2
# A report of a full request (100 documents) has about 20 kB. A parser needs 3 kB for each empty item, which
# has 8 bytes, so this bounds its memory to 45 MB.
_LONGEST = 100_000
_MOST_ITEMS = 10 * commitments.LIMIT


class _Refused(Exception):
    """A report that is refused; `code` is the reason in counts, log and audit."""

    def __init__(self, status: ReportStatus, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def rule_of(destination: DestinationSettings, settings: Settings) -> CommitmentRule:
    """Return the limits in the settings for a destination."""
    delivery = settings.delivery
    return CommitmentRule(
        attempts=destination.commitment_attempts,
        resends=destination.commitment_resends,
        give_up_after_s=delivery.give_up_after_s,
        policy=delivery.retry,
    )


class CommitmentReports:
    """Processes reports; the listener has one, and each deliverer."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        actor: str,
        chance: Random,
        note: Callable[[Event], None],
    ) -> None:
        """Initialise; `note` takes the audit event of a refused report."""
        self._database = database
        self._destinations = settings.destinations
        self._rules: Mapping[str, CommitmentRule] = {
            one.name: rule_of(one, settings) for one in settings.destinations
        }
        self._actor = actor
        self._chance = chance
        self._note = note
        self._log = get_logger("commitment")

    def destinations_of(self, ae_title: str) -> frozenset[str]:
        """Return the names of the destinations with this AE title."""
        return frozenset(one.name for one in self._destinations if one.ae_title.strip() == ae_title.strip())

    def take(
        self, event: evt.Event, peer: frozenset[str], *, ae_title: str, address: str
    ) -> tuple[ReportStatus, str | None]:
        """Process a report from the peer that has the destinations `peer`.

        Returns the status to answer, and the transaction's UID where the report was taken.
        """
        try:
            report = _read(event)
            failpoint("commitment.before-row")
            reception = commitments.report(
                self._database, report, peer, self._rules, chance=self._chance, actor=self._actor
            )
            if reception in (Reception.UNKNOWN, Reception.WRONG_PEER):
                # The same answer to both, so that a stranger learns nothing about existing transactions.
                raise _Refused(ReportStatus.INVALID_ARGUMENT, reception.value)
        except _Refused as refused:
            return self._refuse(refused.status, refused.code, ae_title, address), None
        except DatabaseUnavailable as error:
            return self._refuse(ReportStatus.RESOURCE_LIMITATION, error.code, ae_title, address), None
        except Exception as error:  # noqa: BLE001 - outermost: the peer must hear a status, whatever broke
            self._log.error("unexpected", error_type=type(error).__name__)
            return self._refuse(ReportStatus.PROCESSING_FAILURE, "unexpected", ae_title, address), None
        failpoint("commitment.before-answer")
        failed = sum(one.word is not CommitmentResult.COMMITTED for one in report.answers.values())
        self._log.info("commitment_report", code=reception.value, count=len(report.answers), failed=failed)
        return ReportStatus.SUCCESS, report.transaction_uid

    def _refuse(self, status: ReportStatus, code: str, ae_title: str, address: str) -> ReportStatus:
        self._log.warning("commitment_report_refused", status=f"{status:04X}", code=code, host=address)
        self._note(
            Event(
                action=Action.COMMITMENT,
                actor=ae_title,
                address=address,
                succeeded=False,
                details={"code": code, "status": f"{status:04X}"},
            )
        )
        return status


def _read(event: evt.Event) -> CommitmentReport:
    """Return the content of an N-EVENT-REPORT, which may be malformed in any way."""
    request: Any = event.request
    if str(request.AffectedSOPInstanceUID or "") != WELL_KNOWN_INSTANCE:
        raise _Refused(ReportStatus.NO_SUCH_INSTANCE, "no-such-instance")
    if request.EventTypeID not in (_SUCCESS, _WITH_FAILURES):
        raise _Refused(ReportStatus.NO_SUCH_EVENT, "no-such-event")
    if request.EventInformation is None:
        raise _Refused(ReportStatus.NO_SUCH_ARGUMENT, "no-transaction")
    if request.EventInformation.getbuffer().nbytes > _LONGEST:
        raise _Refused(ReportStatus.RESOURCE_LIMITATION, "report-too-long")
    try:
        information = event.event_information
        transaction_uid = str(information.get("TransactionUID") or "")
        committed = CommitmentAnswer(word=CommitmentResult.COMMITTED)
        answers = {_key(item): committed for item in information.get("ReferencedSOPSequence") or ()}
        # An instance in both lists has failed.
        for item in information.get("FailedSOPSequence") or ():
            # An unreadable reason is still a failure: 0110, processing failure.
            answers[_key(item)] = failure_reason(integer(item, "FailureReason") or 0x0110)
    # Outermost for foreign bytes: pydicom may raise anything, and the peer must be told that its report
    # cannot be read, not that we have failed.
    except Exception as error:
        raise _Refused(ReportStatus.INVALID_ARGUMENT, "report-unreadable") from error
    if not transaction_uid:
        raise _Refused(ReportStatus.NO_SUCH_ARGUMENT, "no-transaction")
    if len(answers) > _MOST_ITEMS:
        raise _Refused(ReportStatus.RESOURCE_LIMITATION, "report-too-long")
    return CommitmentReport(transaction_uid=transaction_uid[:64], answers=answers)


def _key(item: Dataset) -> tuple[str, str]:
    return str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)
