"""The service's exceptions: one root, each with a stable code, a hint, and whether a retry can help.

An exception's text says what happened, for the operator. Its hint says what to do, and is the same on the
screen, in JSON and in docs/operations.md; a single exception may have a remedy of its own, which is shown
instead. None of them ever contains a patient's attributes: they are stored with the job and shown in
`echo-agent status`.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """Root of everything that the service raises on purpose."""

    code: ClassVar[str] = "agent-error"
    retryable: ClassVar[bool] = False
    # What to do, as the end of a sentence; empty where the text itself says it.
    hint: ClassVar[str] = ""

    def __init__(self, finding: str = "", *, remedy: str = "") -> None:
        """finding: what happened. remedy: what to do in this very case, where that is more than the hint."""
        super().__init__(f"{finding}; {remedy}" if remedy else finding)
        self.finding, self.remedy = finding, remedy

    @property
    def advice(self) -> str:
        """What to do: the remedy of this case, otherwise the hint of its kind."""
        return self.remedy or self.hint


class SettingsError(AgentError):
    """The configuration file or an environment variable is wrong; every problem is listed at once."""

    code = "settings-invalid"


class DatabaseUnavailable(AgentError):
    """The database does not answer; a subclass means that waiting will not help."""

    code = "database-unavailable"
    retryable = True
    hint = "start the database, check `database.url`; senders are asked to retry meanwhile"


class DatabaseRefused(DatabaseUnavailable):
    """The database refuses permanently: wrong user, password, name or permissions, or a damaged file."""

    code = "database-refused"
    retryable = False
    hint = (
        "correct `database.url`, or the owner and permissions of the database's file and folder; "
        "put a damaged file back with `echo-agent db restore`"
    )


class SchemaOutdated(DatabaseUnavailable):
    """The database has another schema revision than this version needs."""

    code = "schema-outdated"
    retryable = False
    hint = "stop the service, run `echo-agent db upgrade`, start it again"


class SchemaTooNew(SchemaOutdated):
    """A newer version of the service has upgraded the database: this one cannot use it."""

    code = "schema-too-new"
    hint = "install the version that upgraded it, or restore the copy that was made before that upgrade"


class StorageFull(AgentError):
    """Free space is below `storage.min_free_mb`: senders are asked to retry until space is freed."""

    code = "storage-full"
    retryable = True
    hint = "free space on `storage.path`; senders retry by themselves"


class StoreUnavailable(StorageFull):
    """The bucket of `storage.url` does not answer or did not keep an object; it is retried."""

    code = "store-unavailable"
    hint = "check the address of `storage.url`, its credentials and its space; it is tried again"


class InstanceMissing(AgentError):
    """A row names an instance whose file is gone: restore it from the archive or resend the study."""

    code = "instance-missing"
    hint = "restore the file, or let the PACS send the study again"


class UnreadableInstance(AgentError):
    """A received object's dataset cannot be parsed; it is quarantined; check its sender."""

    code = "instance-unreadable"
    hint = "check the sender's export; the object is in quarantine, or its study is FAILED"


class ObjectOverBudget(UnreadableInstance):
    """An object has more elements, items or levels than a radiograph needs; parsing it would fill memory."""

    code = "object-over-budget"


class UnreadableImage(AgentError):
    """Pixel data that cannot be decoded to an image; the study fails visibly and is never drafted."""

    code = "image-unreadable"
    hint = (
        "let the PACS send the study again in another transfer syntax, then `queue retry`; "
        "a study is never drafted from the rest of its images"
    )


class ObjectMismatch(AgentError):
    """A dataset's SOP class or instance differs from the C-STORE command that carried it."""

    code = "object-mismatch"


class NotAChestStudy(AgentError):
    """No image of the study is eligible under the rules of `eligibility`."""

    code = "not-eligible"
    hint = "nothing, if no image shows a chest; otherwise correct `eligibility`, then `queue retry`"


class NoUsableImage(NotAChestStudy):
    """The eligible images are all copies, test exposures or oblique views: none of them is read."""

    code = "no-usable-image"
    hint = "send the original frontal image, then `queue retry`; nothing, if there is none"


class PatientConflict(AgentError):
    """Images of one Study Instance UID name different patients: nothing is drafted or sent meanwhile."""

    code = "patient-conflict"
    hint = (
        "correct the patient in the PACS and send the study again: the newest content of each image counts; "
        "or decide by hand with `study resolve`"
    )


class StudyChanged(AgentError):
    """Another image of the study arrived while it was checked: nothing was changed; try again."""

    code = "study-changed"
    retryable = True


class DraftWithdrawn(AgentError):
    """The draft names a patient who is no longer the study's: it is never sent again."""

    code = "draft-withdrawn"


class LeaseLost(AgentError):
    """Another worker owns the job now: this worker's result is discarded, nothing was written."""

    code = "lease-lost"


class InvalidTransition(AgentError):
    """A transition was requested that the job's present state does not allow."""

    code = "invalid-transition"


class DemonstrationModelRefused(AgentError):
    """Drafts by the demonstration model leave this machine only with `model.allow_demonstration: true`."""

    code = "demonstration-model-refused"
    hint = "set `model.checkpoint`, or for a test `model.allow_demonstration: true`, then `queue retry`"


class DeliveryRefused(AgentError):
    """The destination refused the object permanently: the delivery is dead until a person revives it."""

    code = "delivery-refused"
    hint = "check in the PACS that it accepts our SOP classes and AE title, then `dead retry`"


class DeliveryFailed(AgentError):
    """The destination did not take the object this time; the delivery is retried with backoff."""

    code = "delivery-failed"
    retryable = True
    hint = "nothing yet: it is retried for `delivery.give_up_after_s`; `doctor` tests the connection"


class PortUnavailable(AgentError):
    """The listener cannot bind its address and port: stop the other program or change `listener.port`."""

    code = "port-unavailable"


class ProgramMissing(AgentError):
    """A required program is not installed; the message names its package."""

    code = "program-missing"


class ProgramNotReady(AgentError):
    """A process that was started did not become ready in time; its log says why."""

    code = "program-not-ready"


class ProcessFailed(AgentError):
    """A part of `echo-agent serve` ended before it was ready; its own message says why."""

    code = "process-failed"


class NotFound(AgentError):
    """There is nothing with the requested number or UID."""

    code = "not-found"


class NotOurFolder(AgentError):
    """The output folder holds other files, which are never overwritten."""

    code = "not-our-folder"


class WebUnprotected(AgentError):
    """The web page would be reachable from other machines without sign-in or without encryption."""

    code = "web-unprotected"


class AccountInvalid(AgentError):
    """A user cannot be created or changed as requested; the message says why."""

    code = "account-invalid"


class OpenIdRefused(AgentError):
    """Sign-in failed: the OpenID provider refused, or its answer could not be verified."""

    code = "openid-refused"


class OpenIdUnavailable(AgentError):
    """The OpenID provider does not answer, or is not the one of `web.oidc.issuer`."""

    code = "openid-unavailable"
    retryable = True


class StaleEdit(AgentError):
    """The study has a newer revision than the one that was reviewed: nothing was written; reload the page."""

    code = "stale-edit"


class VerdictRefused(AgentError):
    """A verdict is incomplete, such as a rejection without a reason."""

    code = "verdict-refused"


class AuditUndelivered(AgentError):
    """An audit destination does not take messages: they wait in the database and are sent again."""

    code = "audit-undelivered"
    retryable = True


class BackupFailed(AgentError):
    """A backup of the database could not be written or restored; the message says why."""

    code = "backup-failed"


class ArchiveUnavailable(AgentError):
    """The archive cannot be reached, or closed the connection: check the section `archive`, and the
    archive.
    """

    code = "archive-unavailable"
    retryable = True


class ArchiveRefused(AgentError):
    """The archive refuses to answer or to send: it must know our AE titles, and allow C-FIND and C-MOVE."""

    code = "archive-refused"


class ArchiveLate(AgentError):
    """The archive did not finish in time: it is slow, or the time budget is too short for it."""

    code = "archive-late"
    retryable = True


class WorklistUnavailable(AgentError):
    """The modality worklist cannot be reached or does not answer: check the section `mwl`; it is queried
    again.
    """

    code = "worklist-unavailable"
    retryable = True


class WorklistRefused(AgentError):
    """The modality worklist refuses to answer: it must know our AE title and offer Modality Worklist."""

    code = "worklist-refused"
    retryable = True


class CommitmentFailed(AgentError):
    """The destination did not accept the request for storage commitment; the request is repeated."""

    code = "commitment-failed"
    retryable = True


class CommitmentUnsupported(AgentError):
    """The destination offers neither storage commitment nor a query, so what it keeps is unknown."""

    code = "commitment-unsupported"


class StudyMixedUp(AgentError):
    """The images of a draft are not from its job's study: nothing was written; report it to the
    developers.
    """

    code = "study-mixed-up"


class NetworkFailed(AgentError):
    """The network fails on every study: the worker stops, its jobs return to the queue, and a new process
    retries.
    """

    code = "network-failed"
    retryable = True


class WorkitemInvalid(AgentError):
    """A UPS workitem holds a value that does not fit its value representation, or is not DICOM JSON."""

    code = "workitem-invalid"


class UnusableFile(AgentError):
    """A file named on the command line cannot be read, or is not of the kind that the command needs."""

    code = "unusable-file"


class MessageUnreadable(AgentError):
    """An HL7 message cannot be read: it has no MSH segment, or is too long; none of it was accepted."""

    code = "message-unreadable"


class MessageRefused(AgentError):
    """An HL7 message lacks its subject, such as the patient or the order; none of it was applied."""

    code = "message-refused"
