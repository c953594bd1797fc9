"""The errors of this package: each has a stable code and says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from model.errors import ModelError


class FindingsError(ModelError):
    """Base of the errors of `model.findings`; none is retryable."""

    code: ClassVar[str] = "findings"


class VocabularyError(FindingsError):
    """A vocabulary file cannot be used; the text lists every problem with its place in the file."""

    code = "findings_vocabulary"

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the findings vocabulary {source} cannot be used; correct it:\n{listed}")


class InputError(FindingsError):
    """A line of an input file is not in the expected format; the text names the line."""

    code = "findings_input"


class WordingError(FindingsError):
    """A language has no canonical wording; the text names those that have one."""

    code = "findings_wording"

    def __init__(self, language: str, known: Sequence[str]) -> None:
        self.language = language
        super().__init__(
            f"there is no canonical wording in {language!r}: choose one of {', '.join(known)}, or add the "
            f"section `wording` to the language's pack"
        )
