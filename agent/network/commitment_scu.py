"""Our Storage Commitment SCU, and the query (C-FIND) for the objects that a destination holds.

Source: PS3.4 annex J (Storage Commitment Push Model), C.4.1 (C-FIND, Study Root).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF

from agent.foundation.errors import CommitmentFailed, CommitmentUnsupported
from agent.network.commitment_terms import CommitmentItem, CommitmentRequest
from agent.network.scu import ConnectionLost, Handlers, NoContext, Peer, associated
from agent.network.statuses import ActionVerdict, action_status
from dicom_sr.attributes import text

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
# The one well-known instance of that class (PS3.4 J.3.5).
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_REQUEST_COMMITMENT = 1
_PENDING = (0xFF00, 0xFF01)
# All answers to the query for one document come within this many time-outs.
_TIMES_PATIENCE = 3


def ask(
    peer: Peer,
    request: CommitmentRequest,
    *,
    wait_s: float,
    on_report: Callable[[evt.Event], tuple[int, str | None]],
) -> None:
    """Send a request (N-ACTION), then wait up to `wait_s` for its report on the same association.

    on_report: handles an N-EVENT-REPORT; returns the status to answer, and the transaction UID of the report.

    Raises:
        CommitmentUnsupported: the peer offers no storage commitment.
        CommitmentFailed: it did not accept the request this time.
        ConnectionLost: it was not reached, or the connection broke before the answer.
    """
    exchange = _Exchange(request.transaction_uid, on_report)
    handlers: Handlers = [(evt.EVT_N_EVENT_REPORT, exchange.report), (evt.EVT_PDU_SENT, exchange.sent)]
    try:
        with associated(peer, [STORAGE_COMMITMENT], handlers=handlers) as association:
            association.dimse.msg_queue = _Messages(association)
            _send(association, request)
            exchange.wait(association, wait_s)
    except NoContext as error:
        raise CommitmentUnsupported("the destination offers no storage commitment") from error


class _Messages(queue.Queue[Any]):
    """Handles a report as soon as it arrives, even before the answer to the request. pynetdicom would take it
    for the answer, and abort.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Handle a report in the thread that read it; queue any other message."""
        context_id, message = item
        if isinstance(message, N_EVENT_REPORT) and message.is_valid_request:
            self._association._serve_request(message, context_id)
        else:
            super().put(item, block, timeout)


class _Exchange:
    """Handles the association after the request was sent."""

    def __init__(
        self, transaction_uid: str, on_report: Callable[[evt.Event], tuple[int, str | None]]
    ) -> None:
        self._transaction_uid = transaction_uid
        self._on_report = on_report
        self._taken = threading.Event()
        self._answered = threading.Event()

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Answer a report."""
        status, transaction_uid = self._on_report(event)
        if transaction_uid == self._transaction_uid:
            self._taken.set()
        return status, None

    def sent(self, event: evt.Event) -> None:
        """Record that the answer was sent: a release before that would cut it off."""
        if self._taken.is_set() and isinstance(event.pdu, P_DATA_TF):
            self._answered.set()

    def wait(self, association: Association, seconds: float) -> None:
        """Wait for the report while the peer keeps the association open."""
        until = time.monotonic() + seconds
        while association.is_established and time.monotonic() < until:
            if self._answered.wait(0.05):
                return


def _send(association: Association, request: CommitmentRequest) -> None:
    try:
        answer, _reply = association.send_n_action(
            _information(request), _REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ConnectionLost("the association broke during the request for commitment") from error
    if "Status" not in answer:
        raise ConnectionLost("the destination did not answer the request for commitment in time")
    status = action_status(int(answer.Status))
    words = (
        f"the destination answered the request for commitment 0x{int(answer.Status):04X}, {status.meaning}"
    )
    if status.verdict is ActionVerdict.UNSUPPORTED:
        raise CommitmentUnsupported(words)
    if status.verdict is ActionVerdict.LATER:
        raise CommitmentFailed(words)


def _information(request: CommitmentRequest) -> Dataset:
    """Return the action information (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = DicomSequence([_reference(item) for item in request.items])
    return information


def _reference(item: CommitmentItem) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = item.sop_class_uid
    reference.ReferencedSOPInstanceUID = item.sop_instance_uid
    return reference


def look_up(peer: Peer, items: Iterable[CommitmentItem]) -> frozenset[str]:
    """Return the SOP Instance UIDs of the documents that the peer says it holds (C-FIND at image level).

    Raises:
        CommitmentUnsupported: the peer offers no query.
        CommitmentFailed: it did not answer the query with success.
        ConnectionLost: it was not reached, or broke off.
    """
    found = set()
    try:
        with associated(peer, [STUDY_ROOT_FIND]) as association:
            for item in items:
                if _holds(association, item, time.monotonic() + _TIMES_PATIENCE * peer.timeout_s):
                    found.add(item.sop_instance_uid)
    except NoContext as error:
        raise CommitmentUnsupported("the destination offers no query (C-FIND, Study Root)") from error
    return frozenset(found)


def _holds(association: Association, item: CommitmentItem, deadline: float) -> bool:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = item.study_instance_uid
    query.SeriesInstanceUID = item.series_instance_uid
    query.SOPInstanceUID = item.sop_instance_uid
    found = False
    try:
        for status, identifier in association.send_c_find(query, STUDY_ROOT_FIND):
            if "Status" not in status:
                raise ConnectionLost("the destination did not answer the query in time")
            code = int(status.Status)
            if code in _PENDING and time.monotonic() > deadline:
                association.abort()
                raise ConnectionLost("the destination did not end its answer to the query in time")
            if code in _PENDING:
                # Some archives return more than was requested.
                found = found or (
                    identifier is not None and text(identifier, "SOPInstanceUID") == item.sop_instance_uid
                )
            elif code != 0x0000:
                raise CommitmentFailed(f"the destination answered the query 0x{code:04X}")
    except (RuntimeError, ValueError, OSError) as error:
        raise ConnectionLost("the association broke during the query") from error
    return found
