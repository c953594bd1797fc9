"""Word-by-word comparison of two reports: what was removed and what was added."""

from __future__ import annotations

from agent.reports.edited_report import Report
from agent.web.compare import compare


def told(before: str, after: str) -> list[tuple[str, str]]:
    """Compare two findings texts with one sentence per line."""
    first, second = (Report(findings=tuple(one.split("\n")), impression=()) for one in (before, after))
    return [(one.kind, one.text) for one in compare(first, second)["Findings"]]


def test_changed_words_alone_are_marked() -> None:
    """Unchanged text appears once, with its spaces."""
    assert told("A small left effusion.\nNo more.", "A large left effusion.\nNo more.") == [
        ("same", "A "),
        ("removed", "small "),
        ("added", "large "),
        ("same", "left effusion.\nNo more."),
    ]


def test_both_texts_can_be_read_out_of_the_comparison() -> None:
    """Nothing is lost: without the added words it is the first text, without the removed words the second."""
    before, after = "One.\nTwo two.\nThree.", "Zero.\nTwo too.\nThree.\nFour."
    pieces = told(before, after)
    assert "".join(text for kind, text in pieces if kind != "added") == before
    assert "".join(text for kind, text in pieces if kind != "removed") == after


def test_equal_and_empty_texts_have_no_mark() -> None:
    """An accepted draft has no differences."""
    assert told("Same.", "Same.") == [("same", "Same.")]
    assert compare(Report(findings=(), impression=()), Report(findings=(), impression=()))["Impression"] == []
