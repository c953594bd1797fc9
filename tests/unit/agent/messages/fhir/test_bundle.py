"""A result as a transaction bundle."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.messages.fhir.bundle import bundle, write_bundle
from agent.messages.result import Authority
from agent.messages.result_status import ResultStatus
from agent.network.fhir_client import trouble_of
from model.findings.types import Finding, Laterality, Presence
from tests.unit.agent.messages.hl7.results import STUDY, result, subject

SETTINGS = FhirDestinationSettings(url="http://127.0.0.1:8080/fhir", patient_system="urn:oid:1.2.9")
SERVER = DestinationSettings(name="emr", kind="fhir", fhir=SETTINGS)


def resources(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in made["entry"] if one["resource"]["resourceType"] == kind]


def report(status: ResultStatus, **values: Any) -> dict[str, Any]:
    (found,) = resources(bundle(SETTINGS, result(status, **values)), "DiagnosticReport")
    return found


@pytest.mark.parametrize(
    ("status", "stated"),
    [
        (ResultStatus.UNVERIFIED, "preliminary"),
        (ResultStatus.FINAL, "final"),
        (ResultStatus.CORRECTED, "amended"),
        (ResultStatus.WITHDRAWN, "entered-in-error"),
    ],
)
def test_status_of_report_and_observations(status: ResultStatus, stated: str) -> None:
    """A result that nobody has verified is never final, and all of its resources have one status."""
    made = bundle(SETTINGS, result(status))
    assert report(status)["status"] == stated
    assert {one["status"] for one in resources(made, "Observation")} <= {stated}
    if status is ResultStatus.UNVERIFIED:
        assert "final" not in json.dumps(made)
        assert "resultsInterpreter" not in report(status)


def test_same_result_gives_the_same_bytes() -> None:
    """A retry and a bundle that is built again have the same bytes."""
    assert write_bundle(SERVER, result()) == write_bundle(SERVER, result())


def test_every_entry_is_conditional_or_has_its_own_id() -> None:
    """A bundle that is sent twice creates nothing twice."""
    for entry in bundle(SETTINGS, result())["entry"]:
        request = entry["request"]
        conditional = "?identifier=" in request["url"] or "ifNoneExist" in request
        assert conditional or request["url"].startswith("Provenance/echo-")


def test_observation_has_the_codes_of_the_structured_report() -> None:
    """Concept, presence, side and severity are coded; the report refers to each Observation."""
    made = bundle(SETTINGS, result())
    first = resources(made, "Observation")[0]
    stated = [first, *first["component"]]
    codings = [one[part]["coding"] for one in stated for part in ("code", "valueCodeableConcept")]
    assert {one["system"] for (one,) in codings} == {"http://snomed.info/sct"}
    assert [(one["code"], one["display"]) for (one,) in codings] == [
        ("36118008", "Pneumothorax"),
        ("52101004", "Present"),
        ("272741003", "Laterality"),
        ("7771000", "Left"),
        ("246112005", "Severity"),
        ("255604002", "Mild"),
    ]
    urls = {one["fullUrl"] for one in made["entry"] if one["resource"]["resourceType"] == "Observation"}
    assert {one["reference"] for one in report(ResultStatus.UNVERIFIED)["result"]} == urls


def test_finding_that_is_no_longer_stated_is_cancelled() -> None:
    """A revision that moves the effusion to the other side cancels the first statement."""
    left = Finding(concept="pleural_effusion", presence=Presence.PRESENT, laterality=Laterality.LEFT)
    first = result(findings=(left,))
    sent = write_bundle(SERVER, first)[0][1]
    second = bundle(
        SETTINGS, replace(first, findings=(replace(left, laterality=Laterality.RIGHT),), earlier=sent)
    )
    states = {one["identifier"][0]["value"]: one["status"] for one in resources(second, "Observation")}
    assert states == {
        f"{STUDY}/pleural_effusion/right/-": "preliminary",
        f"{STUDY}/pleural_effusion/left/-": "cancelled",
    }
    (said,) = resources(second, "DiagnosticReport")
    assert len(said["result"]) == 1
    third = bundle(SETTINGS, replace(first, earlier=json.dumps(second).encode()))
    assert {one["status"] for one in resources(third, "Observation")} == {"preliminary", "cancelled"}


def test_withdrawal_takes_every_observation_back() -> None:
    """A withdrawn result states nothing and cancels what was stated."""
    sent = write_bundle(SERVER, result())[0][1]
    made = bundle(SETTINGS, result(ResultStatus.WITHDRAWN, earlier=sent, reason="another patient"))
    assert {one["status"] for one in resources(made, "Observation")} == {"cancelled"}
    (said,) = resources(made, "DiagnosticReport")
    assert not {"result", "conclusion", "presentedForm"} & said.keys()
    assert "WITHDRAWN" in said["text"]["div"]


def test_draft_says_that_it_is_unverified_wherever_a_person_reads() -> None:
    """Narrative, conclusion and attachment begin with the warning."""
    said = report(ResultStatus.UNVERIFIED)
    text = base64.b64decode(said["presentedForm"][0]["data"]).decode()
    for words in (said["conclusion"], text):
        assert words.startswith("AI PRE-DRAFT, unverified")
    assert said["text"]["div"].startswith(
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>AI PRE-DRAFT, unverified'
    )


def test_narrative_escapes_what_a_report_may_say() -> None:
    """Markup in a report is written as text."""
    said = report(ResultStatus.UNVERIFIED, impression_sentences=("<script>1 & 2</script>",))
    assert "&lt;script&gt;1 &amp; 2&lt;/script&gt;" in said["text"]["div"]


@pytest.mark.parametrize(
    ("authority", "system"),
    [
        (Authority(universal_id="1.2.3", universal_id_type="ISO"), "urn:oid:1.2.3"),
        (Authority(universal_id="https://x.example/p", universal_id_type="URI"), "https://x.example/p"),
        (Authority(namespace="HOSP"), "urn:oid:1.2.9"),
        (Authority(), "urn:oid:1.2.9"),
    ],
)
def test_patient_is_named_with_the_issuers_system(authority: Authority, system: str) -> None:
    """The images' issuer takes precedence over the system in the settings."""
    said = report(ResultStatus.UNVERIFIED, subject=subject(authority=authority))
    assert said["subject"]["identifier"] == {"system": system, "value": "4711"}


def test_patient_can_be_searched_for_with_everything_escaped() -> None:
    """A comma or a vertical bar in an identifier does not change the search."""
    settings = SETTINGS.model_copy(update={"patient_reference": "search"})
    made = bundle(
        settings, result(subject=subject(patient_id="a,b|c", authority=Authority(namespace="HOSP")))
    )
    (said,) = resources(made, "DiagnosticReport")
    assert said["subject"]["reference"] == "Patient?identifier=urn:oid:1.2.9|a%5C%2Cb%5C%7Cc"


@pytest.mark.parametrize(
    ("stated", "trouble"),
    [
        (
            {"fhirVersion": "4.0.1", "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}]},
            None,
        ),
        ({"fhirVersion": "5.0.0"}, "it speaks FHIR 5.0.0"),
        ({"fhirVersion": "4.0.1", "rest": [{"mode": "server"}]}, "does not offer"),
        ({}, "unknown version"),
    ],
)
def test_capability_statement_tells_what_is_missing(stated: dict[str, Any], trouble: str | None) -> None:
    """`doctor` explains why a server cannot take our bundles."""
    found = trouble_of(stated)
    assert found is None if trouble is None else found is not None and trouble in found


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "fhir"},
        {"kind": "fhir", "fhir": {"url": "ftp://x"}},
        {"kind": "fhir", "fhir": {"url": "http://x", "token_url": "http://x/token"}},
        {"kind": "fhir", "fhir": {"url": "http://x", "patient_system": "hospital"}},
        {"kind": "fhir", "fhir": {"url": "http://x"}, "host": "127.0.0.1"},
        {"kind": "dicom", "host": "127.0.0.1", "fhir": {"url": "http://x"}},
    ],
)
def test_settings_of_a_fhir_destination_are_checked(values: dict[str, Any]) -> None:
    """A destination without a server, with an incomplete client, or with another kind's keys is refused."""
    with pytest.raises(ValueError, match=r"fhir|url|system|host|token|match"):
        DestinationSettings(name="emr", **values)
