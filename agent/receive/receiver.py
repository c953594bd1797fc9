"""Processes a received object, from its last byte to the status sent back.

Check -> file on the disk -> row committed -> status. The dataset's bytes are kept exactly as received.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from agent.database.states import Lane
from agent.foundation.errors import (
    AgentError,
    DatabaseUnavailable,
    ObjectMismatch,
    StorageFull,
    UnreadableInstance,
)
from agent.foundation.failpoints import failpoint
from agent.objects.header import Header, read_header
from agent.objects.store import InstanceStore, part10_head
from agent.receive.intake import Intake, IntakeOutcome


class ReceiveStatus(IntEnum):
    """The statuses of a C-STORE response that we give. Source: PS3.4 table B.2-1, PS3.7 annex C."""

    SUCCESS = 0x0000  # durable and committed
    PROCESSING_FAILURE = 0x0110  # unexpected error
    CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700  # retry later: disk, database, stopping
    MISMATCH = 0xA900  # dataset and command name different classes or instances
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a C-STORE request states about its dataset; `context_class_uid` is the negotiated SOP class."""

    sop_class_uid: str
    sop_instance_uid: str
    context_class_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    # The AE title that an earlier study was sent to; empty for objects to be drafted.
    prior_ae_title: str = ""
    # The sender's IP address, for the audit.
    address: str = ""
    # `backfill` for objects retrieved to be drafted; otherwise it follows from the sender.
    lane: Lane | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    """The status, the reason if it is not success, and the object's study if known."""

    status: ReceiveStatus
    code: str | None = None
    study_instance_uid: str | None = None


class Receiver:
    """Stores one object durably and enters its row."""

    def __init__(self, store: InstanceStore, intake: Intake) -> None:
        self._store = store
        self._intake = intake

    def receive(self, command: Command, dataset: memoryview) -> StoreAnswer:
        """Take one object.

        Raises:
            StorageFull: nothing was kept; the sender must be asked to retry.
            DatabaseUnavailable: the same; a file that is on the disk already is found at a restart.
        """
        if command.sop_class_uid != command.context_class_uid:
            return StoreAnswer(status=ReceiveStatus.CLASS_NOT_SUPPORTED, code="class-not-negotiated")
        pieces = (
            part10_head(
                command.sop_class_uid,
                command.sop_instance_uid,
                command.transfer_syntax_uid,
                receiving_ae_title=command.prior_ae_title,
            ),
            dataset,
        )
        try:
            header = read_header(dataset, command.transfer_syntax_uid)
            _check_identity(header, command)
        except (UnreadableInstance, ObjectMismatch) as error:
            quarantined = self._store.quarantine(pieces)
            self._intake.quarantine(quarantined, error.code, command.calling_ae_title)
            mismatch = isinstance(error, ObjectMismatch)
            return StoreAnswer(
                status=ReceiveStatus.MISMATCH if mismatch else ReceiveStatus.CANNOT_UNDERSTAND,
                code=error.code,
            )
        file = self._store.put(pieces)
        failpoint("receiver.before-row")
        prior = bool(command.prior_ae_title)
        receipt = self._intake.receive(
            header,
            file,
            command.calling_ae_title,
            prior=prior,
            address=command.address,
            lane=command.lane,
        )
        dropped = receipt.outcome in (IntakeOutcome.OURS, IntakeOutcome.UNUSED)
        if file.new and (dropped or (prior and receipt.outcome is IntakeOutcome.DUPLICATE)):
            self._store.discard(file.sha256)
        if receipt.outcome is IntakeOutcome.RESTORED:
            # A purge may have removed the file in between; now that a row needs it, no purge will.
            self._store.put(pieces)
        failpoint("receiver.before-answer")
        if prior:
            # It names no study: an earlier study does not keep any study waiting.
            return StoreAnswer(status=ReceiveStatus.SUCCESS, code="prior")
        return StoreAnswer(
            status=ReceiveStatus.SUCCESS,
            code=None if receipt.outcome is IntakeOutcome.NEW else receipt.outcome.value,
            study_instance_uid=header.study_instance_uid,
        )


def answered(receive: Callable[[], StoreAnswer]) -> StoreAnswer:
    """Receive one object by any protocol: a failure becomes the status for its sender."""
    try:
        return receive()
    except (StorageFull, DatabaseUnavailable) as error:
        return StoreAnswer(status=ReceiveStatus.OUT_OF_RESOURCES, code=error.code)
    except AgentError as error:
        return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code=error.code)
    except Exception:  # noqa: BLE001 - outermost: the sender must hear a status, whatever broke
        return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code="unexpected")


def _check_identity(header: Header, command: Command) -> None:
    if header.sop_class_uid != command.sop_class_uid:
        raise ObjectMismatch("the dataset is of another SOP class than the command says")
    if header.sop_instance_uid != command.sop_instance_uid:
        raise ObjectMismatch("the dataset is another SOP instance than the command says")
