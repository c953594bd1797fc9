"""Queries another system's worklist over DIMSE.

Source: PS3.4 annex CC (UPS Pull and Watch as SCU), IHE RAD AIW-I (RAD-80 to RAD-83).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom.association import Association

from agent.foundation.errors import ArchiveUnavailable, DeliveryFailed, DeliveryRefused
from agent.network.scu import Peer, associated
from agent.ris.ups.terms import (
    GLOBAL_SUBSCRIPTION,
    PULL,
    PUSH,
    WATCH,
    ActionType,
    Readiness,
    StepState,
    UpsStatus,
)

_PENDING = (0xFF00, 0xFF01)
_MOST = 500
# All answers to a query come within this many time-outs.
_TIMES_PATIENCE = 6


class RemoteManager:
    """An open association with another system's manager of workitems."""

    def __init__(self, association: Association, timeout_s: float) -> None:
        self._association = association
        self._longest_s = _TIMES_PATIENCE * timeout_s

    def ready(self) -> list[Dataset]:
        """Return the workitems that are scheduled and whose input is ready.

        Raises:
            ArchiveUnavailable: there is no complete answer.
        """
        keys = Dataset()
        keys.ProcedureStepState, keys.InputReadinessState = StepState.SCHEDULED.value, Readiness.READY.value
        keys.SOPInstanceUID = keys.ScheduledProcedureStepPriority = keys.ProcedureStepLabel = ""
        keys.ScheduledStationNameCodeSequence, keys.ScheduledWorkitemCodeSequence = [Dataset()], [Dataset()]
        keys.InputInformationSequence = [Dataset()]
        found: list[Dataset] = []
        deadline = time.monotonic() + self._longest_s
        for status, item in self._asked(lambda: self._association.send_c_find(keys, PULL)):
            code = status.get("Status")
            if code in _PENDING and time.monotonic() > deadline:
                self._association.abort()
                raise ArchiveUnavailable("the worklist did not end its answer to the C-FIND in time")
            if code in _PENDING and item is not None and len(found) < _MOST:
                found.append(item)
            elif code != 0x0000 and code not in _PENDING:
                raise ArchiveUnavailable("the worklist did not answer the C-FIND to its end")
        return found

    def get(self, uid: str) -> Dataset | None:
        """Return a workitem's attributes, or None if the manager returns none."""
        status, item = self._asked(lambda: self._association.send_n_get([], PUSH, uid, meta_uid=PULL))
        return item if status.get("Status") == 0x0000 else None

    def change_state(self, uid: str, state: StepState, transaction_uid: str) -> int:
        """Claim, complete or cancel; return the status.

        Raises:
            ArchiveUnavailable: there is no answer; what became of the request is not known.
        """
        information = Dataset()
        information.ProcedureStepState, information.TransactionUID = state.value, transaction_uid
        return self._act(information, ActionType.CHANGE_STATE, uid, PULL)

    def update(self, uid: str, changes: Dataset, transaction_uid: str) -> int:
        """Change attributes of a workitem that we have claimed; return the status.

        Raises:
            ArchiveUnavailable: there is no answer.
        """
        given = Dataset()
        given.update({element.tag: element for element in changes})
        given.TransactionUID = transaction_uid
        status, _ = self._asked(lambda: self._association.send_n_set(given, PUSH, uid, meta_uid=PULL))
        return _code(status)

    def request_cancel(self, uid: str, information: Dataset) -> int:
        """Request the cancellation of a workitem; return the status."""
        return self._act(information, ActionType.REQUEST_CANCEL, uid, WATCH)

    def subscribe(self, ae_title: str) -> int:
        """Subscribe one of our AE titles to the events of all workitems; return the status."""
        information = Dataset()
        information.ReceivingAE, information.DeletionLock = ae_title, "FALSE"
        return self._act(information, ActionType.SUBSCRIBE, str(GLOBAL_SUBSCRIPTION), WATCH)

    def _act(self, information: Dataset, action: ActionType, uid: str, context: str) -> int:
        # An empty dataset would be announced but never sent.
        given = information if len(information) else None
        status, _ = self._asked(
            lambda: self._association.send_n_action(given, int(action), PUSH, uid, meta_uid=context)
        )
        return _code(status)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (RuntimeError, ValueError) as error:
            raise ArchiveUnavailable("the worklist broke off, or does not offer this service") from error


@contextmanager
def open_manager(peer: Peer) -> Iterator[RemoteManager]:
    """Open an association with a manager.

    Raises:
        ArchiveUnavailable: no connection, a rejection, or the manager offers no UPS.
    """
    try:
        with associated(peer, [PULL, WATCH]) as association:
            yield RemoteManager(association, peer.timeout_s)
    except (DeliveryFailed, DeliveryRefused) as error:
        raise ArchiveUnavailable(str(error).replace("the destination", "the worklist")) from error


def _code(status: Dataset) -> int:
    if "Status" not in status:
        raise ArchiveUnavailable("the worklist did not answer")
    return int(status.Status)


def holds(status: int) -> bool:
    """Whether the answer to a claim means that the workitem is ours: claimed now, or by us before."""
    return status in (UpsStatus.SUCCESS, UpsStatus.ALREADY_IN_PROGRESS)
