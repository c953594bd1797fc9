"""Logs contain allow-listed fields only."""

from __future__ import annotations

import json
import logging

import pytest

from agent.foundation.log import configure_logging, get_logger, study_ref
from agent.foundation.settings.tree import LogSettings


def test_log_drops_fields_that_are_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A patient's name that is passed by mistake does not reach the log, and the mistake is visible."""
    configure_logging(LogSettings(format="json"))
    get_logger("test").info("event", job_id=1, patient_name="CANARY^PATIENT")
    line = json.loads(capsys.readouterr().err)
    assert (line["job_id"], line["dropped"]) == (1, "patient_name")
    assert "CANARY" not in json.dumps(line)


def test_log_names_a_study_by_a_keyed_hash() -> None:
    """A study always has the same name under one key, and its UID cannot be derived from it."""
    configure_logging(LogSettings(format="json", hash_key="k"))
    first = study_ref("1.2.3")
    assert first == study_ref("1.2.3")
    configure_logging(LogSettings(format="json", hash_key="another"))
    assert study_ref("1.2.3") != first


def test_log_silences_libraries_that_quote_values(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that pynetdicom and pydicom log is written."""
    configure_logging(LogSettings(format="json"))
    for library in ("pynetdicom.acse", "pydicom", "sqlalchemy.engine"):
        logging.getLogger(library).error("CANARY")
    captured = capsys.readouterr()
    assert "CANARY" not in captured.err + captured.out
