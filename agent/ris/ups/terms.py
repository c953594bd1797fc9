"""The Unified Procedure Step service in the standard's words: classes, states, actions, events, statuses.

Source: PS3.4 annex CC (DIMSE), PS3.18 section 11 (UPS-RS), PS3.6 (UIDs).
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum

from pydicom.uid import RE_VALID_UID, UID

PUSH = UID("1.2.840.10008.5.1.4.34.6.1")
WATCH = UID("1.2.840.10008.5.1.4.34.6.2")
PULL = UID("1.2.840.10008.5.1.4.34.6.3")
EVENT = UID("1.2.840.10008.5.1.4.34.6.4")
QUERY = UID("1.2.840.10008.5.1.4.34.6.5")
# Well-known instances that stand for every workitem (PS3.4 CC.2.3).
GLOBAL_SUBSCRIPTION = UID("1.2.840.10008.5.1.4.34.5")
FILTERED_SUBSCRIPTION = UID("1.2.840.10008.5.1.4.34.5.1")


_UID = re.compile(RE_VALID_UID)


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 section 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class StepState(StrEnum):
    """Procedure Step State (0074,1000). Source: PS3.4 table CC.1.1-1."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether a workitem in this state never changes again."""
        return self in (StepState.COMPLETED, StepState.CANCELED)


class Priority(StrEnum):
    """Scheduled Procedure Step Priority (0074,1200)."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Readiness(StrEnum):
    """Input Readiness State (0040,4041)."""

    INCOMPLETE = "INCOMPLETE"
    UNAVAILABLE = "UNAVAILABLE"
    READY = "READY"


class ActionType(IntEnum):
    """Action Type ID of N-ACTION. Source: PS3.4 CC.2.1 to CC.2.3."""

    CHANGE_STATE = 1
    REQUEST_CANCEL = 2
    SUBSCRIBE = 3
    UNSUBSCRIBE = 4
    SUSPEND_GLOBAL = 5


class EventType(IntEnum):
    """Event Type ID of N-EVENT-REPORT. Source: PS3.4 table CC.2.4-1."""

    STATE = 1
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    SCP_STATUS = 4
    ASSIGNED = 5


class UpsStatus(IntEnum):
    """Status of a DIMSE-N response. Source: PS3.4 CC.2, PS3.7 annex C."""

    SUCCESS = 0x0000
    ATTRIBUTE_LIST_ERROR = 0x0107
    INVALID_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    NO_SUCH_ARGUMENT = 0x0114
    INVALID_ARGUMENT = 0x0115
    INVALID_INSTANCE = 0x0117
    NO_SUCH_CLASS = 0x0118
    MISSING_ATTRIBUTE = 0x0120
    MISSING_VALUE = 0x0121
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    RESOURCE_LIMITATION = 0x0213
    CREATED_MODIFIED = 0xB300
    LOCK_NOT_GRANTED = 0xB301
    ALREADY_CANCELED = 0xB304
    ALREADY_COMPLETED = 0xB306
    NOT_UPDATABLE = 0xC300
    WRONG_TRANSACTION = 0xC301
    ALREADY_IN_PROGRESS = 0xC302
    ONLY_CREATED_SCHEDULED = 0xC303
    FINAL_REQUIREMENTS = 0xC304
    NO_SUCH_WORKITEM = 0xC307
    UNKNOWN_RECEIVER = 0xC308
    NOT_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    IS_COMPLETED = 0xC311
    CANNOT_CONTACT = 0xC312
    WILL_NOT_CANCEL = 0xC313
    NO_EVENT_REPORTS = 0xC315

    @property
    def failed(self) -> bool:
        """Whether nothing was changed: neither Success nor a Warning (0xBxxx)."""
        return self is not UpsStatus.SUCCESS and not 0xB000 <= self <= 0xBFFF


# Each status in UPS-RS: the HTTP status, and the fixed text of the Warning header if there is one.
# Source: PS3.18 sections 11.4.3 to 11.9.3.
_INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."
_WRONG_TRANSACTION = "The Transaction UID is incorrect."
_HTTP: dict[UpsStatus, tuple[int, str]] = {
    UpsStatus.SUCCESS: (200, ""),
    UpsStatus.CREATED_MODIFIED: (201, "The UPS was created with modifications."),
    UpsStatus.LOCK_NOT_GRANTED: (201, "Deletion Lock not granted."),
    UpsStatus.ALREADY_CANCELED: (200, "The UPS is already in the requested state of CANCELED."),
    UpsStatus.ALREADY_COMPLETED: (200, "The UPS is already in the requested state of COMPLETED."),
    UpsStatus.DUPLICATE_INSTANCE: (409, _INCONSISTENT),
    UpsStatus.NOT_UPDATABLE: (409, _INCONSISTENT),
    UpsStatus.WRONG_TRANSACTION: (400, _WRONG_TRANSACTION),
    UpsStatus.ALREADY_IN_PROGRESS: (409, _INCONSISTENT),
    UpsStatus.ONLY_CREATED_SCHEDULED: (409, _INCONSISTENT),
    UpsStatus.FINAL_REQUIREMENTS: (409, _INCONSISTENT),
    UpsStatus.NO_SUCH_WORKITEM: (404, ""),
    UpsStatus.UNKNOWN_RECEIVER: (404, ""),
    UpsStatus.NOT_SCHEDULED: (400, ""),
    UpsStatus.NOT_IN_PROGRESS: (409, _INCONSISTENT),
    UpsStatus.IS_COMPLETED: (409, "The UPS is already COMPLETED."),
    UpsStatus.CANNOT_CONTACT: (409, "The performer cannot be contacted."),
    UpsStatus.WILL_NOT_CANCEL: (409, "Performer chooses not to cancel."),
    UpsStatus.NOT_AUTHORIZED: (403, ""),
    UpsStatus.PROCESSING_FAILURE: (500, ""),
    UpsStatus.RESOURCE_LIMITATION: (503, ""),
}


def http_answer(status: UpsStatus, *, transaction_given: bool = True) -> tuple[int, str]:
    """Return the HTTP status code for a status, and the text of its Warning header, empty for none."""
    if status is UpsStatus.WRONG_TRANSACTION and not transaction_given:
        return 400, "The Transaction UID is missing."
    return _HTTP.get(status, (400, ""))
