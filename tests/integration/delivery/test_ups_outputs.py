"""The output information of a draft's workitem equals what a real archive holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydicom import Dataset

from agent.commands.demo.orthanc import Orthanc
from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.foundation.settings.tree import DestinationSettings
from agent.ris.ups.projection import Projection
from agent.ris.ups.records import content_of
from agent.ris.ups.wording import Station
from tests.integration.delivery.outbox import delivery_states, outbox, running
from tests.support.waiting import wait_for

STATION = Station(ae_title="ECHO_AGENT", name="ECHO Agent")
NUMBER = 8123


def held_by(archive: Orthanc, study: str) -> set[tuple[str, str, str]]:
    """Return series, SOP class and SOP instance of everything that an archive holds for a study."""
    query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}}
    found = set()
    for one in archive.post("/tools/find", query):
        tags = json.loads(archive.get(f"/instances/{one}/simplified-tags"))
        found.add((tags["SeriesInstanceUID"], tags["SOPClassUID"], tags["SOPInstanceUID"]))
    return found


def output_of(database: Database) -> tuple[str, list[Dataset]]:
    """Return the state and the output information of the only workitem."""
    with database.reading() as session:
        row = session.query(Workitem).one()
        content = content_of(row)
    performed = content.get("UnifiedProcedureStepPerformedProcedureSequence") or [Dataset()]
    return row.state, list(performed[0].get("OutputInformationSequence") or [])


def test_output_information_equals_what_orthanc_holds(
    database: Database, orthanc: Orthanc, letters: Callable[[int], tuple[Any, Any]]
) -> None:
    """Every instance with its class, series and study, and the AE title that holds it; nothing else."""
    destination = DestinationSettings(
        name="archive", host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title
    )
    projection = Projection(database, STATION, ae_titles={"archive": orthanc.ae_title})
    study = f"1.2.840.99.{NUMBER}"
    outbox(database, letters(NUMBER), NUMBER, "archive")
    projection.tick()
    assert output_of(database) == ("IN PROGRESS", [])
    end = running(database, destination)
    try:
        wait_for(lambda: delivery_states(database) == ["STORED", "STORED"], 120)
    finally:
        end()
    projection.tick()
    state, items = output_of(database)
    named = {
        (str(item.SeriesInstanceUID), str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
        for item in items
        for one in item.ReferencedSOPSequence
    }
    assert (state, named) == ("COMPLETED", held_by(orthanc, study))
    assert {str(item.StudyInstanceUID) for item in items} == {study}
    assert {str(item.DICOMRetrievalSequence[0].RetrieveAETitle) for item in items} == {orthanc.ae_title}
