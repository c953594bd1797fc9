"""Counted nouns in messages."""

from agent.foundation.counted import counted


def test_one_is_singular_and_every_other_number_plural() -> None:
    """Zero takes the plural, too."""
    assert [counted(number, "attempt") for number in (0, 1, 2)] == ["0 attempts", "1 attempt", "2 attempts"]
    assert [counted(number, "study", "studies") for number in (1, 30)] == ["1 study", "30 studies"]
