"""The service's exceptions: one root, each with a stable code, a hint, and whether trying again can help.

An exception's text says what happened, for the operator. Its hint says what to do, and is the same on the
screen, in JSON and in docs/operations.md. Neither ever holds a patient's attribute: both are stored beside
the job and shown in `echo-agent status`.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """Root of everything that the service raises on purpose."""

    code: ClassVar[str] = "agent-error"
    retryable: ClassVar[bool] = False
    # What to do, as the end of a sentence; empty where the text itself says it.
    hint: ClassVar[str] = ""


class SettingsError(AgentError):
    """The configuration file or an environment variable is wrong; every problem is listed at once."""

    code = "settings-invalid"


class DatabaseUnavailable(AgentError):
    """The database does not answer now; a class below it says that waiting will not help."""

    code = "database-unavailable"
    retryable = True
    hint = "start the database, check `database.url`; senders are asked to retry meanwhile"


class DatabaseRefused(DatabaseUnavailable):
    """The database refuses for good: wrong user, password, name or permissions, or a damaged file."""

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


class StorageFull(AgentError):
    """Free space is below `storage.min_free_mb`: senders are asked to retry until space is freed."""

    code = "storage-full"
    retryable = True
    hint = "free space on `storage.path`; senders retry by themselves"


class StoreUnavailable(StorageFull):
    """The bucket of `storage.url` does not answer or did not keep an object: it is tried again."""

    code = "store-unavailable"
    hint = "check the address of `storage.url`, its credentials and its space; it is tried again"


class InstanceMissing(AgentError):
    """A row names an instance whose file is gone: restore it from the archive or resend the study."""

    code = "instance-missing"
    hint = "restore the file, or let the PACS send the study again"


class UnreadableInstance(AgentError):
    """A received object's dataset cannot be parsed; it is quarantined and its sender should be looked at."""

    code = "instance-unreadable"
    hint = "look at the sender's export; the object is in quarantine"


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


class ImageNotPlausible(UnreadableImage):
    """There is no film on an image; each way of it has a code of its own. It never reaches the network."""

    code = "image-not-plausible"
    hint = "look at the image in the PACS; if there is a film on it, report it to the developers"


class ImageTooSmall(ImageNotPlausible):
    """An image has fewer pixels than `plausibility.least_px` on its shorter side."""

    code = "image-too-small"
    hint = "send the original instead of a thumbnail, then `queue retry`, or lower `plausibility.least_px`"


class ImageTooOblong(ImageNotPlausible):
    """An image is more than three times as long as it is wide."""

    code = "image-too-oblong"
    hint = "nothing, if it is a stitched or cropped image; otherwise correct its size at the sender"


class ImageConstant(ImageNotPlausible):
    """An image is blank or nearly so."""

    code = "image-constant"
    hint = "nothing, if it is a test exposure; otherwise send the original image, then `queue retry`"


class ImageSaturated(ImageNotPlausible):
    """Nearly all of an image is black or white."""

    code = "image-saturated"
    hint = "correct the window or VOI LUT at the sender, send the image again, then `queue retry`"


class ImageWrapped(ImageNotPlausible):
    """Neighbouring pixels jump over the whole range: the upper bits of the samples were cut off."""

    code = "image-wrapped"
    hint = "correct Bits Stored at the sender, send the image again, then `queue retry`"


class ImageMostlyUnexposed(ImageNotPlausible):
    """Most of an image lies outside its shutter or collimation."""

    code = "image-unexposed"
    hint = "correct the shutter or collimator edges at the sender, send it again, then `queue retry`"


class ObjectMismatch(AgentError):
    """A dataset's SOP class or instance differs from the C-STORE command that carried it."""

    code = "object-mismatch"


class NotAChestStudy(AgentError):
    """No image of the study is eligible under the rules of `eligibility`."""

    code = "not-eligible"
    hint = "nothing, if no image shows a chest; otherwise correct `eligibility`, then `queue retry`"


class NoUsableImage(NotAChestStudy):
    """The eligible images are copies, test exposures or oblique views only: none is read."""

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
    """Another image of the study came while it was judged: nothing was changed; try again."""

    code = "study-changed"
    retryable = True


class DraftWithdrawn(AgentError):
    """The draft names a patient who is no longer the study's: it is never sent again."""

    code = "draft-withdrawn"


class LeaseLost(AgentError):
    """Another worker owns the job now: this worker's result is discarded, nothing was written."""

    code = "lease-lost"


class InvalidTransition(AgentError):
    """A job was asked to enter a state that its present state does not lead to."""

    code = "invalid-transition"


class DemonstrationModelRefused(AgentError):
    """Drafts of the demonstration model leave this machine only with `model.allow_demonstration: true`."""

    code = "demonstration-model-refused"
    hint = "set `model.checkpoint`, or for a test `model.allow_demonstration: true`, then `queue retry`"


class DeliveryRefused(AgentError):
    """The destination refused the object for good: the delivery is dead until a person revives it."""

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
    """A program that was asked for is not installed; the message names its package."""

    code = "program-missing"


class ProgramNotReady(AgentError):
    """A process that was started did not become ready in time; its log says why."""

    code = "program-not-ready"


class ProcessFailed(AgentError):
    """A part of `echo-agent serve` ended before it was ready; its own message says why."""

    code = "process-failed"


class NotFound(AgentError):
    """What was asked for by its number or UID is not there."""

    code = "not-found"


class NotOurFolder(AgentError):
    """A folder that was named for output holds other files, which are never overwritten."""

    code = "not-our-folder"


class WebUnprotected(AgentError):
    """The web page would be reachable from other machines without sign-in or without encryption."""

    code = "web-unprotected"


class AccountInvalid(AgentError):
    """A user cannot be made or changed as asked: the message says what is wrong."""

    code = "account-invalid"


class OpenIdRefused(AgentError):
    """Nobody was signed in: the OpenID provider refused, or its answer is not to be believed."""

    code = "openid-refused"


class OpenIdUnavailable(AgentError):
    """The OpenID provider does not answer, or is not the one of `web.oidc.issuer`."""

    code = "openid-unavailable"
    retryable = True


class StaleEdit(AgentError):
    """The study has another revision than the one that was judged: nothing was written; look again."""

    code = "stale-edit"


class VerdictRefused(AgentError):
    """A verdict cannot be given as asked, such as a rejection without a reason."""

    code = "verdict-refused"


class AuditUndelivered(AgentError):
    """An audit destination does not take messages: they wait in the database and are sent again."""

    code = "audit-undelivered"
    retryable = True


class BackupFailed(AgentError):
    """A copy of the database could not be written, or put back; the message says why."""

    code = "backup-failed"


class ArchiveUnavailable(AgentError):
    """The archive cannot be reached, or broke off: check the section `archive`, and the archive itself."""

    code = "archive-unavailable"
    retryable = True


class ArchiveRefused(AgentError):
    """The archive refuses to be asked or to send: it must know our AE titles, and allow C-FIND and C-MOVE."""

    code = "archive-refused"


class ArchiveLate(AgentError):
    """The archive did not end in time: it is slow, or the time budget is too short for it."""

    code = "archive-late"
    retryable = True


class CommitmentFailed(AgentError):
    """The destination did not take the request for storage commitment this time; it is asked again."""

    code = "commitment-failed"
    retryable = True


class CommitmentUnsupported(AgentError):
    """The destination offers no storage commitment, or no query: it does not say what it keeps."""

    code = "commitment-unsupported"


class StudyMixedUp(AgentError):
    """The images of a draft are not of its job's study: nothing was written; report it to the developers."""

    code = "study-mixed-up"


class NetworkFailed(AgentError):
    """The network fails at every study: the worker ends, its jobs go back, and a new process tries."""

    code = "network-failed"
    retryable = True


class WorkitemInvalid(AgentError):
    """A UPS workitem holds a value that does not fit its value representation, or is no DICOM JSON."""

    code = "workitem-invalid"


class UnusableFile(AgentError):
    """A file that was named on the command line cannot be read, or is not what the command needs."""

    code = "unusable-file"


class MessageUnreadable(AgentError):
    """An HL7 message cannot be read: it has no MSH segment, or is too long; nothing of it was taken."""

    code = "message-unreadable"


class MessageRefused(AgentError):
    """An HL7 message lacks what it is about, such as the patient or the order; nothing of it was applied."""

    code = "message-refused"
