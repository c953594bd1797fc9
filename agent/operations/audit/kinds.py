"""The message of PS3.15 A.5.3 for each of our audit actions, and the codes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from agent.database.audit.record import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCode:
    """A coded value: code, coding scheme, meaning."""

    value: str
    meaning: str
    system: str = "DCM"


class AuditMessage(Enum):
    """The messages that we write, by their EventID (PS3.16 CID 400)."""

    ACTIVITY = AuditCode(value="110100", meaning="Application Activity")
    LOG_USED = AuditCode(value="110101", meaning="Audit Log Used")
    BEGIN = AuditCode(value="110102", meaning="Begin Transferring DICOM Instances")
    ACCESSED = AuditCode(value="110103", meaning="DICOM Instances Accessed")
    TRANSFERRED = AuditCode(value="110104", meaning="DICOM Instances Transferred")
    DELETED = AuditCode(value="110105", meaning="DICOM Study Deleted")
    EXPORT = AuditCode(value="110106", meaning="Export")
    ORDER = AuditCode(value="110109", meaning="Order Record")
    QUERY = AuditCode(value="110112", meaning="Query")
    ALERT = AuditCode(value="110113", meaning="Security Alert")
    AUTHENTICATION = AuditCode(value="110114", meaning="User Authentication")


# Roles of participants (PS3.16 CID 402).
APPLICATION = AuditCode(value="110150", meaning="Application")
LAUNCHER = AuditCode(value="110151", meaning="Application Launcher")
DESTINATION = AuditCode(value="110152", meaning="Destination Role ID")
SOURCE = AuditCode(value="110153", meaning="Source Role ID")
DESTINATION_MEDIA = AuditCode(value="110154", meaning="Destination Media")
# Media (PS3.16 CID 405).
MEDIA_URI = AuditCode(value="110037", meaning="URI")
# What an object's identifier is (PS3.16 CID 404 and PS3.15 A.5.1.2.4).
STUDY_UID = AuditCode(value="110180", meaning="Study Instance UID")
SOP_CLASS_UID = AuditCode(value="110181", meaning="SOP Class UID")
NODE_ID = AuditCode(value="110182", meaning="Node ID")
PATIENT_NUMBER = AuditCode(value="2", meaning="Patient Number", system="RFC-3881")
SEARCH_CRITERIA = AuditCode(value="10", meaning="Search Criteria", system="RFC-3881")
URI = AuditCode(value="12", meaning="URI", system="RFC-3881")

# Kinds of events (PS3.16 CID 401 and CID 403).
_START = AuditCode(value="110120", meaning="Application Start")
_STOP = AuditCode(value="110121", meaning="Application Stop")
_LOGIN = AuditCode(value="110122", meaning="Login")
_LOGOUT = AuditCode(value="110123", meaning="Logout")
_NODE = AuditCode(value="110126", meaning="Node Authentication")
_SOFTWARE = AuditCode(value="110131", meaning="Software Configuration")
_RESTRICTED = AuditCode(value="110132", meaning="Use of Restricted Function")
_USER = AuditCode(value="110137", meaning="User Security Attributes Changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The form of an action's message.

    action_code: C create, R read, U update, D delete, E execute.
    outgoing: for transfers, whether we are the sender; we_asked: whether we opened the association.
    instead: the kind used if no study is known, because the message would have to name one.
    """

    message: AuditMessage
    action_code: str
    event_type: AuditCode | None = None
    outgoing: bool = False
    we_asked: bool = False
    instead: Kind | None = None


_ALERT = Kind(message=AuditMessage.ALERT, action_code="E")
_IN = Kind(message=AuditMessage.TRANSFERRED, action_code="C", instead=_ALERT)
_OUT = Kind(message=AuditMessage.TRANSFERRED, action_code="C", outgoing=True, instead=_ALERT)
_READ = Kind(message=AuditMessage.ACCESSED, action_code="R", instead=_ALERT)

KINDS: Mapping[Action, Kind] = {
    Action.START: Kind(message=AuditMessage.ACTIVITY, action_code="E", event_type=_START),
    Action.STOP: Kind(message=AuditMessage.ACTIVITY, action_code="E", event_type=_STOP),
    Action.CONFIGURATION: Kind(message=AuditMessage.ALERT, action_code="E", event_type=_SOFTWARE),
    Action.USER_CHANGE: Kind(message=AuditMessage.ALERT, action_code="E", event_type=_USER),
    Action.ASSOCIATION: Kind(message=AuditMessage.ALERT, action_code="E", event_type=_NODE),
    Action.REFUSED: Kind(message=AuditMessage.ALERT, action_code="E", event_type=_NODE),
    Action.RECEIVED: _IN,
    Action.NOT_TAKEN: _IN,
    Action.DRAFT: _READ,
    Action.NO_DRAFT: _READ,
    Action.SENDING: Kind(message=AuditMessage.BEGIN, action_code="E", outgoing=True, instead=_ALERT),
    Action.SENT: _OUT,
    Action.NOT_SENT: _OUT,
    Action.COMMITMENT: Kind(message=AuditMessage.TRANSFERRED, action_code="R", outgoing=True, instead=_ALERT),
    Action.TOLD: Kind(message=AuditMessage.ORDER, action_code="U"),
    Action.QUERY: Kind(message=AuditMessage.QUERY, action_code="E"),
    Action.PRIORS: Kind(message=AuditMessage.TRANSFERRED, action_code="C", we_asked=True, instead=_ALERT),
    Action.PURGE: Kind(message=AuditMessage.DELETED, action_code="D", instead=_ALERT),
    Action.EXPORT: Kind(message=AuditMessage.EXPORT, action_code="R", instead=_ALERT),
    Action.SIGN_IN: Kind(message=AuditMessage.AUTHENTICATION, action_code="E", event_type=_LOGIN),
    Action.SIGN_OUT: Kind(message=AuditMessage.AUTHENTICATION, action_code="E", event_type=_LOGOUT),
    Action.LIST: Kind(message=AuditMessage.QUERY, action_code="E"),
    Action.VIEW: _READ,
    Action.IMAGE: _READ,
    Action.RESOLVED: Kind(message=AuditMessage.ACCESSED, action_code="U", instead=_ALERT),
    Action.WITHDRAWN: Kind(message=AuditMessage.ACCESSED, action_code="U", instead=_ALERT),
    Action.CLAIM: _READ,
    Action.TAKEN_OVER: _READ,
    Action.RELEASED: _READ,
    Action.VERDICT: Kind(message=AuditMessage.ACCESSED, action_code="U", instead=_ALERT),
    Action.AUDIT_READ: Kind(message=AuditMessage.LOG_USED, action_code="R"),
    Action.FAULT: Kind(message=AuditMessage.ALERT, action_code="E", event_type=_RESTRICTED),
}
