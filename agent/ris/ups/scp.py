"""The manager over DIMSE: Push, Pull, Watch and Query as SCP, on a port of its own.

A request names the UPS Push class whatever class the context was negotiated for (PS3.4 CC.3.1), so that one
set of handlers serves all contexts. Admission, limits and deadlines are the listener's.

Source: PS3.4 annex CC, PS3.7 section 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from agent.database.audit.record import Event
from agent.foundation.errors import DatabaseUnavailable, WorkitemInvalid
from agent.foundation.settings.tree import ListenerSettings
from agent.foundation.settings.ups import Right
from agent.network.contexts import VERIFICATION
from agent.network.scu import SYNTAXES
from agent.receive.association import BoundedAssociation
from agent.receive.association_events import calling
from agent.receive.bounded_scp import BoundedScp, Handlers, ScpKind
from agent.receive.pending_answers import PendingAnswers
from agent.ris.ups.encoding import as_encoded
from agent.ris.ups.foreign import dataset_of
from agent.ris.ups.manager import Manager, Reply
from agent.ris.ups.permissions import ANYBODY, Permissions
from agent.ris.ups.terms import EVENT, PULL, PUSH, QUERY, WATCH, ActionType, UpsStatus
from dicom_sr.attributes import text

CLASSES = (PUSH, WATCH, PULL, QUERY)
_CANCELED_FIND, _UNABLE, _MISMATCH, _OUT_OF_RESOURCES = 0xFE00, 0xC000, 0xA900, 0xA700
_LARGEST_MESSAGE = 4_000_000  # bytes
_NOT_PERMITTED = Reply(status=UpsStatus.NOT_AUTHORIZED, comment="not allowed by ups.permissions")
_RIGHTS = {
    ActionType.CHANGE_STATE: Right.PERFORM,
    ActionType.REQUEST_CANCEL: Right.CANCEL,
    ActionType.SUBSCRIBE: Right.SUBSCRIBE,
    ActionType.UNSUBSCRIBE: Right.SUBSCRIBE,
    ActionType.SUSPEND_GLOBAL: Right.SUBSCRIBE,
}


class UpsScp(BoundedScp):
    """Serves the worklist."""

    def __init__(
        self,
        settings: ListenerSettings,
        manager: Manager,
        *,
        permissions: Permissions = ANYBODY,
        on_event: Callable[[str, int], None] = lambda _uid, _kind: None,
        note: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """settings: the listener's, with the worklist's port and AE title.

        permissions: what each calling AE title may do.
        on_event: called with the UID and the type of each event that another manager reports to us. note:
        called with audit events; it must not block.
        """
        kind = ScpKind(name="ups", port_setting="ups.port", largest_message=_LARGEST_MESSAGE)
        super().__init__(settings, kind, note=note)
        self._manager, self._permissions, self._on_remote_event = manager, permissions, on_event

    def _contexts(self) -> Sequence[PresentationContext]:
        return [build_context(uid, list(SYNTAXES)) for uid in (VERIFICATION, *CLASSES, EVENT)]

    def _handlers(self) -> Handlers:
        return [
            (evt.EVT_N_CREATE, self._on_create),
            (evt.EVT_N_SET, self._on_set),
            (evt.EVT_N_GET, self._on_get),
            (evt.EVT_N_ACTION, self._on_action),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_N_EVENT_REPORT, self._on_report),
        ]

    def _on_create(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID or "")

        def create() -> Reply:
            reply = self._manager.create(uid, dataset_of(event, "AttributeList"))
            if not uid and reply.dataset is not None:
                # From here pynetdicom takes the UID that the response names.
                reply.dataset.AffectedSOPInstanceUID = reply.uid
            return reply

        return self._answer(event, Right.CREATE, request.AffectedSOPClassUID, create)

    def _on_set(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        def update() -> Reply:
            return self._manager.update(_uid(event), dataset_of(event, "ModificationList"))

        return self._answer(event, Right.UPDATE, _requested_class(event), update)

    def _on_get(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        def get() -> Reply:
            return self._manager.get(_uid(event), [int(tag) for tag in event.attribute_identifiers])

        return self._answer(event, Right.READ, _requested_class(event), get)

    def _on_action(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        right = _RIGHTS.get(cast(ActionType, event.action_type), Right.READ)
        return self._answer(event, right, _requested_class(event), lambda: self._act(event))

    def _act(self, event: evt.Event) -> Reply:
        uid, caller = _uid(event), calling(event.assoc)
        information = dataset_of(event, "ActionInformation")
        receiver = text(information, "ReceivingAE") or caller
        watches = event.action_type in (
            ActionType.SUBSCRIBE,
            ActionType.UNSUBSCRIBE,
            ActionType.SUSPEND_GLOBAL,
        )
        if watches and not self._permissions.allow_receiver(caller, receiver):
            return _NOT_PERMITTED
        match event.action_type:
            case ActionType.CHANGE_STATE:
                state = text(information, "ProcedureStepState")
                return self._manager.change_state(uid, state, text(information, "TransactionUID"))
            case ActionType.REQUEST_CANCEL:
                return self._manager.request_cancel(uid, information, caller)
            case ActionType.SUBSCRIBE:
                lock = text(information, "DeletionLock").upper() == "TRUE"
                keys = filter_keys(information)
                return self._manager.subscribe(uid, receiver, deletion_lock=lock, keys=keys)
            case ActionType.UNSUBSCRIBE:
                return self._manager.unsubscribe(uid, receiver)
            case ActionType.SUSPEND_GLOBAL:
                return self._manager.suspend(uid, receiver)
        return Reply(status=UpsStatus.NO_SUCH_ACTION, uid=uid)

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        association = cast(BoundedAssociation, event.assoc)
        try:
            if not self._permits(association, Right.READ):
                yield int(UpsStatus.NOT_AUTHORIZED), None
                return
            implicit = bool(UID(event.context.transfer_syntax).is_implicit_VR)
            answers = PendingAnswers(association, event)
            for found in self._manager.find(dataset_of(event, "Identifier")):
                if event.is_cancelled:
                    yield _CANCELED_FIND, None
                    return
                answers.add(as_encoded(found, implicit=implicit))
                if answers.ended:
                    return
            answers.flush()
        except DatabaseUnavailable:
            yield _OUT_OF_RESOURCES, None
        except WorkitemInvalid:
            yield _MISMATCH, None
        except Exception as error:  # noqa: BLE001 - outermost: the peer must receive a status, whatever it sent
            self._log.error("unexpected", error_type=type(error).__name__)
            yield _UNABLE, None
        finally:
            association.messages.served()

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        """Handle an event of another manager's worklist, to which we have subscribed."""
        association = cast(BoundedAssociation, event.assoc)
        request: Any = event.request
        association.messages.served()
        if association not in self._admitted:
            return int(UpsStatus.NOT_AUTHORIZED), None
        self._on_remote_event(str(request.AffectedSOPInstanceUID or ""), int(request.EventTypeID or 0))
        return int(UpsStatus.SUCCESS), None

    def _permits(self, association: BoundedAssociation, right: Right) -> bool:
        return association in self._admitted and self._permissions.allow(calling(association), right)

    def _answer(
        self, event: evt.Event, right: Right, named_class: object, act: Callable[[], Reply]
    ) -> tuple[Dataset, Dataset | None]:
        """Turn the outcome of a request into its response; exceptions of a request end here."""
        association = cast(BoundedAssociation, event.assoc)
        try:
            if association.messages.dropped:
                reply = Reply(status=UpsStatus.RESOURCE_LIMITATION)
            elif not self._permits(association, right):
                reply = _NOT_PERMITTED
            elif str(named_class or "") not in CLASSES:
                reply = Reply(status=UpsStatus.NO_SUCH_CLASS, comment="the class of a request is UPS Push")
            else:
                reply = act()
        except DatabaseUnavailable:
            reply = Reply(status=UpsStatus.RESOURCE_LIMITATION)
        except WorkitemInvalid as error:
            reply = Reply(status=UpsStatus.INVALID_VALUE, comment=str(error)[:64])
        except Exception as error:  # noqa: BLE001 - outermost: the peer must receive a status, whatever it sent
            self._log.error("unexpected", error_type=type(error).__name__)
            reply = Reply(status=UpsStatus.PROCESSING_FAILURE)
        finally:
            association.messages.served()
        self._count(f"status-{reply.status:04X}")
        self._log.info("ups_request", status=f"{reply.status:04X}", what=type(event.request).__name__)
        return status_of(reply), None if reply.status.failed else reply.dataset


def status_of(reply: Reply) -> Dataset:
    """Return the status of a response, with what is wrong and where (PS3.7 annex C)."""
    status = Dataset()
    status.Status = int(reply.status)
    if reply.comment:
        status.ErrorComment = reply.comment
    if reply.tags:
        status.OffendingElement = reply.tags
    return status


def filter_keys(information: Dataset) -> Dataset:
    """Return the matching keys of a filtered subscription: everything that is not part of the request
    itself.
    """
    keys = Dataset()
    for tag in list(information.keys()):
        element = information.get_item(tag)
        if element is not None and tag not in _OF_THE_REQUEST:
            keys[tag] = element
    return keys


# Receiving AE, Requesting AE, Deletion Lock, Specific Character Set.
_OF_THE_REQUEST = (0x00741234, 0x00741236, 0x00741230, 0x00080005)


def _uid(event: evt.Event) -> str:
    request: Any = event.request
    return str(request.RequestedSOPInstanceUID or "")


def _requested_class(event: evt.Event) -> object:
    request: Any = event.request
    return request.RequestedSOPClassUID
