"""One Observation for each finding, with the codes of the Structured Report. Pure.

An Observation keeps its identity across revisions as long as it concerns the same concept, side and location.
One that the newest revision no longer states is written again as `cancelled`, so that no outdated statement
remains.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agent.messages.fhir.terms import OBSERVATION_SYSTEM, Resource, concept, identifier
from agent.messages.result import Result
from dicom_sr import codes
from dicom_sr.terminology import terminology_of
from model.findings.types import Finding, Presence
from model.findings.vocabulary import load_vocabulary

_IMAGING = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]
}


def observation_key(study_instance_uid: str, finding: Finding) -> str:
    """Return the value of a finding's identifier: the same in all revisions of a study."""
    parts = (study_instance_uid, finding.concept, finding.laterality or "-", finding.location or "-")
    return "/".join(parts)


def observations(result: Result, status: str, shared: Resource) -> list[Resource]:
    """Return the Observations of a result; `shared`: the elements common to all of them.

    Of two findings with the same key the first counts, as in the text.
    """
    found: dict[str, Resource] = {}
    for finding in result.findings:
        key = observation_key(result.study_instance_uid, finding)
        if key not in found:
            found[key] = _observation(key, finding, status) | shared
    return list(found.values())


def _observation(key: str, finding: Finding, status: str) -> Resource:
    terminology = terminology_of(load_vocabulary())
    made: Resource = {
        "resourceType": "Observation",
        "identifier": [identifier(OBSERVATION_SYSTEM, key)],
        "status": status,
        "category": [_IMAGING],
        "code": concept(terminology.term(finding).code),
        "valueCodeableConcept": concept(codes.PRESENCE[Presence(finding.presence)]),
    }
    if finding.location is not None:
        made["bodySite"] = concept(terminology.location(finding.location))
    components = [
        {"code": concept(name), "valueCodeableConcept": concept(value)}
        for name, value in (
            (codes.LATERALITY, codes.SIDE.get(finding.laterality) if finding.laterality else None),
            (codes.SEVERITY, codes.GRADE.get(finding.severity) if finding.severity else None),
            (codes.DESCRIPTION_OF_CHANGE, codes.CHANGE.get(finding.change) if finding.change else None),
        )
        if value is not None
    ]
    if components:
        made["component"] = components
    if finding.evidence:
        made["note"] = [{"text": finding.evidence}]
    return made


def ended(earlier: bytes, present: list[Resource]) -> Iterator[Resource]:
    """Yield as `cancelled` the Observations of the previous bundle that are no longer stated."""
    keys = {_key(one) for one in present}
    for one in _resources(earlier, "Observation"):
        if _key(one) not in keys and one.get("status") not in ("cancelled", "entered-in-error"):
            yield one | {"status": "cancelled"}


def _key(observation: Resource) -> str:
    return str(observation["identifier"][0]["value"])


def _resources(bundle: bytes, kind: str) -> Iterator[Resource]:
    if not bundle:
        return
    kept: dict[str, Any] = json.loads(bundle)
    for entry in kept.get("entry", ()):
        resource: Resource = entry.get("resource") or {}
        if resource.get("resourceType") == kind:
            yield resource
