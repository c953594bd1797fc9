"""What a person should do about a code, with the same words as docs/operations.md (a test compares them)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import agent.foundation.image_errors
import agent.foundation.model_errors  # noqa: F401 - advice is given for their errors too, whoever imports them
from agent.foundation.errors import AgentError


def _hints(root: type[AgentError]) -> Iterator[tuple[str, str]]:
    """Return each error's code with its hint; errors with the same code share it."""
    if root.hint:
        yield root.code, root.hint
    for derived in root.__subclasses__():
        yield from _hints(derived)


# Codes of stopped jobs and documents. Each text begins with what to do rather than what happened.
ADVICE: Mapping[str, str] = dict(_hints(AgentError)) | {
    "commitment-lost": "look at the PACS's storage and its rules for deleting reports, then `dead retry`",
    "commitment-refused": "look in the PACS at the object that has our document's UID, then `dead retry`",
    "gave-up": "repair the connection to the PACS (`doctor` tests it), then `dead retry`",
    "lease-expired": "look at the worker's log for what killed it, then `dead retry`",
    "unexpected": "look at the log for its place and type, then `dead retry`; report it to the developers",
}
OTHERWISE = "`echo-agent queue show JOB` shows its steps; docs/operations.md explains the code"


def advice_for(code: str | None) -> str:
    """Return what to do about a code."""
    return ADVICE.get(code or "", OTHERWISE)
