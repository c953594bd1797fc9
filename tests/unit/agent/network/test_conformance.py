"""The conformance statement describes what the listener does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.network.commitment_scp import ReportStatus
from agent.network.contexts import supported_contexts
from agent.network.statuses import ACTION_STATUSES, ActionVerdict
from agent.receive.intake import INSTANCE_CONFLICT, PATIENT_CONFLICT
from agent.receive.ledger import HALF_OPEN_PER_ADDRESS, HALF_OPEN_PER_STRANGER
from agent.receive.receiver import ReceiveStatus
from agent.receive.wire import DATA, longest


@pytest.fixture(scope="module")
def statement(repository: Path) -> str:
    """The document."""
    return (repository / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")


def test_statement_names_every_class_and_transfer_syntax(statement: str) -> None:
    """Every class and transfer syntax that is offered is stated."""
    for context in supported_contexts(True)[1:]:
        assert f"({context.abstract_syntax})" in statement
        for syntax in context.transfer_syntax or ():
            assert f"| {syntax} |" in statement


def test_statement_names_every_status(statement: str) -> None:
    """Every status that a sender can receive is stated."""
    for status in ReceiveStatus:
        assert f"| 0x{status:04X} |" in statement


def test_statement_names_every_answer_to_a_report(statement: str) -> None:
    """Every answer that a PACS can receive to a storage commitment report is stated."""
    own = [one for one in ReportStatus if one not in (ReportStatus.NOT_AUTHORIZED, ReportStatus.UNRECOGNIZED)]
    assert [one for one in own if f"| 0x{one:04X} |" not in statement] == []
    assert f"answered 0x{ReportStatus.UNRECOGNIZED:04X}" in statement
    for one in ACTION_STATUSES:
        assert one.verdict is not ActionVerdict.UNSUPPORTED or f"0x{one.code:04X}" in statement


def test_statement_names_identity_and_bounds(statement: str) -> None:
    """The numbers in the text are those in the code."""
    assert f"`{IMPLEMENTATION_CLASS_UID}`" in statement
    assert f"`{IMPLEMENTATION_VERSION_NAME}`" in statement
    assert f"{longest(DATA):,} bytes" in statement
    assert f"more than {HALF_OPEN_PER_ADDRESS} connections" in statement
    assert f"({HALF_OPEN_PER_STRANGER} where no entry" in statement
    assert f"`{PATIENT_CONFLICT}`" in statement
    assert f"`{INSTANCE_CONFLICT}`" in statement


def test_statement_has_the_form_of_the_standard(statement: str) -> None:
    """The sections of PS3.2 are in their order, and none is empty."""
    titles = re.findall(r"^#+ (\d[\d.]*) ", statement, re.MULTILINE)
    assert [one.rstrip(".") for one in titles if one.count(".") <= 1 and one.endswith(".")] == list(
        "12345678"
    )
    for title in ("4.1.1", "4.1.2", "4.1.3", "4.2.1", "4.2.2", "4.3", "4.4"):
        assert title in titles
    for annex in range(1, 7):
        assert f"**8.{annex} " in statement
    # A section may begin with its first subsection: a heading of more `#`.
    parts = re.findall(r"^(#+) ([^\n]*)\n(.*?)(?=^#+ |\Z)", statement, re.MULTILINE | re.DOTALL)
    following = [*(marks for marks, _, _ in parts[1:]), ""]
    empty = [
        title
        for (marks, title, body), after in zip(parts, following, strict=True)
        if not body.strip() and len(after) <= len(marks)
    ]
    assert empty == []


def test_statement_links_lead_to_its_sections(statement: str) -> None:
    """The table of contents links to existing headings only."""
    anchors = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in statement.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", statement)) <= anchors
