"""The conformance statement says what the listener does."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.dimse.contexts import supported_contexts
from agent.dimse.ledger import HALF_OPEN_PER_ADDRESS, HALF_OPEN_PER_STRANGER
from agent.dimse.receiver import Status
from agent.dimse.wire import DATA, longest
from agent.intake import INSTANCE_CONFLICT, PATIENT_CONFLICT
from agent.store import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@pytest.fixture(scope="module")
def statement(repository: Path) -> str:
    """The document."""
    return (repository / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")


def test_statement_names_every_class_and_transfer_syntax(statement: str) -> None:
    """What is offered is stated."""
    for context in supported_contexts(True)[1:]:
        assert f"({context.abstract_syntax})" in statement
        for syntax in context.transfer_syntax or ():
            assert f"| {syntax} |" in statement


def test_statement_names_every_status(statement: str) -> None:
    """What a sender can hear is stated."""
    for status in Status:
        assert f"| 0x{status:04X} |" in statement


def test_statement_names_identity_and_bounds(statement: str) -> None:
    """The numbers in the text are the numbers in the code."""
    assert f"`{IMPLEMENTATION_CLASS_UID}`" in statement
    assert f"`{IMPLEMENTATION_VERSION_NAME}`" in statement
    assert f"{longest(DATA):,} bytes" in statement
    assert f"more than {HALF_OPEN_PER_ADDRESS} connections" in statement
    assert f"({HALF_OPEN_PER_STRANGER} where no entry" in statement
    assert f"`{PATIENT_CONFLICT}`" in statement
    assert f"`{INSTANCE_CONFLICT}`" in statement
