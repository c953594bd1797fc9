"""Receives a complete Part 10 file over HTTP as if it had arrived by C-STORE."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from agent.database.audit.record import Action, Event
from agent.database.states import Lane
from agent.foundation.errors import UnreadableInstance
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import ListenerSettings
from agent.network.contexts import KEY_OBJECT_SELECTION, REPORT_CLASSES, TRANSFER_SYNTAXES, image_classes
from agent.objects.element_walk import scan_file_meta
from agent.receive.receiver import Command, Receiver, ReceiveStatus, StoreAnswer, answered
from agent.receive.store_response import StoredPart

_UNREADABLE = StoredPart(sop_class_uid="", sop_instance_uid="", status=ReceiveStatus.CANNOT_UNDERSTAND)
Note = Callable[[Event], None]


class FileIntake:
    """Stores files durably and enters them; every failure becomes a status, an audit event and a log line."""

    def __init__(self, settings: ListenerSettings, receiver: Receiver, note: Note) -> None:
        self._receiver = receiver
        self._note = note
        self._classes = {*image_classes(settings.accept_secondary_capture), KEY_OBJECT_SELECTION}
        self._log = get_logger("listener")

    def take(
        self,
        file: bytearray,
        sender: str,
        address: str,
        *,
        study: str = "",
        prior_ae_title: str = "",
        lane: Lane | None = None,
    ) -> StoredPart:
        """Take one file.

        sender: the AE title that identifies it. study: the UID named by the sender, if any. prior_ae_title,
        lane: as in `Command`; with prior_ae_title, reports are accepted too.
        """
        started = time.monotonic()
        command, start = self._command(file, sender, address, prior_ae_title, lane)
        if command is None:
            answer = StoreAnswer(status=ReceiveStatus.CANNOT_UNDERSTAND, code="unreadable-instance")
        elif command.context_class_uid == "":
            answer = StoreAnswer(status=ReceiveStatus.CLASS_NOT_SUPPORTED, code="class-not-negotiated")
        else:
            with memoryview(file) as whole, whole[start:] as dataset:
                answer = answered(partial(self._receiver.receive, command, dataset))
        if study and answer.study_instance_uid not in (None, study):
            # It is stored under the study that it states; the sender is told that this is not the one that it
            # named.
            answer = StoreAnswer(status=ReceiveStatus.MISMATCH, code="another-study")
        self._record(answer, sender, address, len(file), time.monotonic() - started)
        if command is None:
            return _UNREADABLE
        return StoredPart(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            status=answer.status,
        )

    def _command(
        self, file: bytearray, sender: str, address: str, prior_ae_title: str, lane: Lane | None
    ) -> tuple[Command | None, int]:
        """Read the file meta information; return what a C-STORE request would state, and where the data set
        begins.

        A class or transfer syntax that C-STORE would not negotiate leaves `context_class_uid` empty.
        """
        try:
            meta = scan_file_meta(file)
        except UnreadableInstance:
            return None, 0
        classes = self._classes | set(REPORT_CLASSES) if prior_ae_title else self._classes
        offered = meta.sop_class_uid in classes and meta.transfer_syntax_uid in TRANSFER_SYNTAXES
        command = Command(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            context_class_uid=meta.sop_class_uid if offered else "",
            transfer_syntax_uid=meta.transfer_syntax_uid,
            calling_ae_title=sender,
            prior_ae_title=prior_ae_title,
            address=address,
            lane=lane,
        )
        return command, meta.dataset_at

    def _record(self, answer: StoreAnswer, sender: str, address: str, size: int, seconds: float) -> None:
        good = answer.status is ReceiveStatus.SUCCESS
        if not good:
            details: dict[str, Any] = {"status": f"{answer.status:04X}"}
            if answer.code is not None:
                details["code"] = answer.code
            self._note(
                Event(
                    action=Action.NOT_TAKEN,
                    actor=sender,
                    address=address,
                    succeeded=False,
                    details=details,
                )
            )
        (self._log.info if good else self._log.warning)(
            "object",
            status=f"{answer.status:04X}",
            code=answer.code,
            study_ref=study_ref(answer.study_instance_uid) if answer.study_instance_uid else None,
            size_bytes=size,
            duration_ms=round(seconds * 1000),
        )
