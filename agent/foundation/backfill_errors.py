"""Errors that end or delay a backfill, in addition to those of any archive (`agent.foundation.errors`)."""

from __future__ import annotations

from agent.foundation.errors import AgentError, ArchiveRefused


class ArchiveBusy(ArchiveRefused):
    """The archive is out of resources for now: it is left alone for a while, then queried again."""

    code = "archive-busy"
    retryable = True


class BackfillNotReady(AgentError):
    """The backfill cannot run with these settings, or there is no plan yet; the text says what is missing."""

    code = "backfill-not-ready"


class PackagesMissing(AgentError):
    """Drafting a set of files needs packages that are not installed; the text says how to install them."""

    code = "packages-missing"


class AnotherSet(AgentError):
    """The output folder holds drafts by another network; one set must come from one network."""

    code = "another-set"
