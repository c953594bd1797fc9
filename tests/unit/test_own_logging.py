"""The settings of a test end with it: these two tests belong together, in this order."""

from __future__ import annotations

import pytest

from agent.foundation.log import configure_logging, get_logger
from agent.foundation.settings.tree import LogSettings


def test_logging_of_a_test_is_silent_where_it_asks_for_that(capsys: pytest.CaptureFixture[str]) -> None:
    """Logging is configured as in `echo-agent status`, which other tests call in this process."""
    configure_logging(LogSettings(level="error"))
    get_logger("test").info("ready")
    assert "".join(capsys.readouterr()) == ""


def test_logging_of_an_earlier_test_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """A test that reads the log must not depend on the test before it."""
    get_logger("test").info("ready")
    assert "ready" in "".join(capsys.readouterr())
