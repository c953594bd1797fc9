"""The check of our own bundles: valid ones pass, and each kind of error is reported without a value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.messages.fhir.bundle import bundle
from agent.messages.fhir.check import problems_of
from agent.messages.result_status import ResultStatus
from tests.unit.agent.messages.hl7.results import result

SETTINGS = FhirDestinationSettings(url="http://127.0.0.1/fhir", patient_system="urn:oid:1.2.9")


def resource(made: dict[str, Any], kind: str) -> dict[str, Any]:
    """The first resource of a kind."""
    return next(one["resource"] for one in made["entry"] if one["resource"]["resourceType"] == kind)


@pytest.mark.parametrize("status", list(ResultStatus))
def test_bundle_of_every_status_is_right(status: ResultStatus) -> None:
    """The agent's bundles have no error, in any status."""
    assert problems_of(bundle(SETTINGS, result(status))) == []


def without(kind: str, name: str) -> Callable[[dict[str, Any]], object]:
    """Remove an element."""
    return lambda made: resource(made, kind).pop(name)


def setting(kind: str, name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """Set an element."""
    return lambda made: resource(made, kind).update({name: value})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda made: made.update(type="batch"), "Bundle.type"),
        (without("DiagnosticReport", "code"), "DiagnosticReport.code: is missing"),
        (without("Observation", "subject"), "Observation.subject: is missing"),
        (setting("DiagnosticReport", "issued", "20260102"), "DiagnosticReport.issued"),
        (setting("Provenance", "id", "a b"), "Provenance.id"),
        (setting("DiagnosticReport", "text", {"div": "<p>x"}), "DiagnosticReport.text.div"),
        (setting("DiagnosticReport", "presentedForm", [{"data": "?"}]), "presentedForm.data"),
        (setting("DiagnosticReport", "conclusion", ""), "DiagnosticReport.conclusion: is empty"),
        (
            setting("DiagnosticReport", "identifier", [{"system": "hospital", "value": "1"}]),
            "system: is not a URI",
        ),
        (setting("DiagnosticReport", "performer", [{"reference": "urn:uuid:0"}]), "names no entry"),
        (setting("Observation", "status", "final"), "Observation.status"),
        (setting("DiagnosticReport", "resultsInterpreter", [{"display": "X"}]), "unverified report"),
        (lambda made: made["entry"][0]["request"].update(url="Device"), "neither identifier nor id"),
        (lambda made: made["entry"][1]["request"].pop("ifNoneExist"), "create a duplicate"),
        (lambda made: made["entry"].append(copy.deepcopy(made["entry"][0])), "occurs twice"),
        (lambda made: made["entry"].pop(-2), "exactly one DiagnosticReport"),
    ],
)
def test_faults_are_named(damage: Callable[[dict[str, Any]], object], words: str) -> None:
    """Each error has a line with resource and element, and no line quotes the patient."""
    made = copy.deepcopy(bundle(SETTINGS, result(ResultStatus.UNVERIFIED)))
    damage(made)
    found = problems_of(made)
    assert any(words in line for line in found), found
    assert "CANARY" not in str(found)
