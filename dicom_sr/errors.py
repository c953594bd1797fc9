"""The errors of writing and reading Structured Reports; each message says what to do."""

from __future__ import annotations


class StructuredReportError(Exception):
    """Root of this package's errors: `code` is stable for logs and tests, `retryable` for the queue."""

    code = "structured_report"
    retryable = False


class SourceIdentityError(StructuredReportError):
    """An image's patient or study cannot be named in a document: correct the identifier at its source.

    A document filed under another patient or study is worse than no document, so identifiers are
    never shortened or guessed.
    """

    code = "source_identity"


class MixedStudyError(StructuredReportError):
    """The images belong to several studies or patients: split them before a report is drafted."""

    code = "mixed_study"


class ContentError(StructuredReportError):
    """The content cannot be encoded: the text names the field and what it must be."""

    code = "content"


class ReadBackError(StructuredReportError):
    """Another reader decodes a document differently from what was meant: it is not stored; report it."""

    code = "read_back"


class NotStructuredReportError(StructuredReportError):
    """The object is not a readable Structured Report: send an SR SOP Class instance."""

    code = "not_structured_report"


class ToolMissingError(StructuredReportError):
    """A validation program is not installed: install the Debian package that the text names."""

    code = "tool_missing"


class ToolTimeoutError(StructuredReportError):
    """A validation program timed out: inspect the file, it may be damaged."""

    code = "tool_timeout"
    retryable = True


class ToolFailedError(StructuredReportError):
    """A program could not read the file; the text names the program and quotes its last output."""

    code = "tool_failed"
