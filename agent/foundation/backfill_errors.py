"""What ends or delays a backfill, beside the errors of every archive (`agent.foundation.errors`)."""

from __future__ import annotations

from agent.foundation.errors import AgentError, ArchiveRefused


class ArchiveBusy(ArchiveRefused):
    """The archive is out of resources for the moment: it is left alone for a while, then asked again."""

    code = "archive-busy"
    retryable = True


class BackfillNotReady(AgentError):
    """The backfill cannot run with these settings, or there is no plan yet; the text says what is missing."""

    code = "backfill-not-ready"


class PackagesMissing(AgentError):
    """Drafts of a set of files need packages that are not installed; the text says how to install them."""

    code = "packages-missing"


class AnotherSet(AgentError):
    """The output folder holds drafts of another network: a set has one network throughout."""

    code = "another-set"
