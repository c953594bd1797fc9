"""Drafts in shadow mode are sent nowhere and are compared with the signed report once both exist."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import func, select

from agent.database.audit.web_actor import Actor
from agent.database.session import database_now
from agent.database.states import JobState
from agent.database.tables import (
    Delivery,
    Document,
    Draft,
    Job,
    Listing,
    ShadowComparison,
    SignedReport,
    Study,
)
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import NotFound, StaleEdit
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.foundation.settings.kinds import DOCUMENTS
from agent.foundation.settings.tree import DestinationSettings, Settings, ShadowSettings, SiteSettings
from agent.reports.edited_report import drafted_report
from agent.reports.sign_off import Observer, SignOffDecision, give
from agent.shadow.comparing import compare_due, compared_studies
from agent.shadow.signed import SignedText, enter
from agent.shadow.watching import observations
from agent.web.study import read_study_page

Film = Callable[..., Dataset]
# Every kind of destination with every document it can receive; `test_every_kind_of_destination_is_tried`
# compares this with the registry.
DESTINATIONS = (
    DestinationSettings(
        name="dicom", host="127.0.0.1", commitment=True, rejection_notes=True, documents=DOCUMENTS["dicom"]
    ),
    DestinationSettings(
        name="basic", host="127.0.0.1", findings_sop_class="enhanced", documents=DOCUMENTS["dicom"]
    ),
    DestinationSettings(name="stow", stow_url="http://127.0.0.1:8042/dicom-web", documents=DOCUMENTS["stow"]),
    DestinationSettings(
        name="hl7",
        kind="hl7",
        host="127.0.0.1",
        port=2575,
        hl7=Hl7DestinationSettings(escalation="OMI", escalation_priority=49, pdf=True),
    ),
    DestinationSettings(
        name="fhir", kind="fhir", fhir=FhirDestinationSettings(url="http://127.0.0.1:8080/fhir")
    ),
)
IN_SHADOW = (
    {"shadow": ShadowSettings(mode="shadow")},
    {"shadow": ShadowSettings(calling_ae_titles=("MODALITY",))},
    {"shadow": ShadowSettings(models=("fake",))},
    {"shadow": ShadowSettings(models=("0" * 12,))},
    {"sites": (SiteSettings(name="north", calling_ae_titles=("MODALITY",), mode="shadow"),)},
)
LIVE = (
    {"shadow": ShadowSettings(models=("0" * 7, "other"))},
    {
        "shadow": ShadowSettings(mode="shadow"),
        "sites": (SiteSettings(name="north", calling_ae_titles=("MODALITY",), mode="live"),),
    },
    {"sites": (SiteSettings(name="south", calling_ae_titles=("OTHER",), mode="shadow"),)},
)


def settings_with(values: dict[str, Any]) -> Settings:
    return Settings(destinations=DESTINATIONS, **values)


def drafted(house: Any, settings: Settings, reporter: Any, *films: Dataset) -> Draft:
    house.queued(*films)
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()
    with house.database.reading() as session:
        return session.scalars(select(Draft).order_by(Draft.id.desc()).limit(1)).one()


def count(house: Any, table: Any) -> int:
    with house.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def sign(house: Any, text: str, day: int = 1, **values: Any) -> bool:
    given = {"study_instance_uid": "1.2.3.1", "key": f"{text}|{day}|{values}"} | values
    signed = SignedText(source="csv", text=text, signed_at=datetime(2026, 11, day, tzinfo=UTC), **given)
    with house.database.transaction() as session:
        return enter(session, signed, database_now(session))


def pairs(house: Any) -> dict[str, bool]:
    """The concepts of the one comparison, and whether they disagree."""
    with house.database.reading() as session:
        studies = compared_studies(session)
    assert len(studies) == 1
    return {concept: pair.disagrees for concept, pair in studies[0].pairs.items()}


@pytest.mark.parametrize("values", IN_SHADOW)
def test_shadow_draft_is_kept_and_goes_nowhere(
    house: Any, reporter: Any, film: Film, values: dict[str, Any]
) -> None:
    """With any destination there is no document, delivery or listing, and the job stays DRAFTED."""
    draft = drafted(house, settings_with(values), reporter, film(1))
    assert draft.shadow
    assert "pneumothorax" in draft.text
    assert [count(house, table) for table in (Document, Delivery, Listing)] == [0, 0, 0]
    with house.database.reading() as session:
        job = session.scalars(select(Job)).one()
    assert (job.state, job.code) == (JobState.DRAFTED.value, "shadow")


@pytest.mark.parametrize("values", LIVE)
def test_live_draft_goes_to_every_destination(
    house: Any, reporter: Any, film: Film, values: dict[str, Any]
) -> None:
    """A live site of a service in shadow mode, another model and another site's mode do not stop a draft."""
    draft = drafted(house, settings_with(values), reporter, film(1))
    assert not draft.shadow
    with house.database.reading() as session:
        sent = session.execute(
            select(Delivery.destination, Document.role).join(Document, Document.id == Delivery.document_id)
        ).all()
    messages = [("hl7", "message"), ("hl7", "escalation"), ("fhir", "message")]
    documents = [(one.name, role) for one in DESTINATIONS[:3] for role in one.documents]
    assert sorted(map(tuple, sent)) == sorted([*documents, *messages])
    assert count(house, Listing) == 1


def test_every_kind_of_destination_is_tried() -> None:
    """A new kind of destination or document must be tested in shadow mode too."""
    assert {one.kind: one.documents for one in DESTINATIONS} == DOCUMENTS


def test_shadow_draft_cannot_be_read_or_signed_on_the_page(house: Any, reporter: Any, film: Film) -> None:
    """A radiologist can neither see nor sign off a shadow draft."""
    settings = settings_with(IN_SHADOW[0])
    draft = drafted(house, settings, reporter, film(1))
    assert read_study_page(house.database, draft.study_id).draft is None
    decision = SignOffDecision(
        study_id=draft.study_id,
        draft_id=draft.id,
        revision=1,
        report=drafted_report(draft.content, draft.text),
    )
    observer = Observer(person_name="Roe^Ann", user_id=None, actor=Actor(name="ann", address=""))
    with pytest.raises((NotFound, StaleEdit)):
        give(house.database, house.store, settings, decision, observer)


@pytest.mark.parametrize("report_first", [True, False])
def test_signed_report_is_compared_whichever_comes_first(
    house: Any, reporter: Any, film: Film, report_first: bool
) -> None:
    """The draft says right pneumothorax; the signed report agrees and adds an effusion."""
    text = "Right pneumothorax. Small left effusion."
    if report_first:
        sign(house, text)
        assert compare_due(house.database) == 0
    drafted(house, settings_with(IN_SHADOW[0]), reporter, film(1))
    if not report_first:
        assert compare_due(house.database) == 0
        sign(house, text)
    assert compare_due(house.database) == 1
    assert pairs(house) == {"pleural_effusion": True, "pneumothorax": False}
    assert compare_due(house.database) == 0


@pytest.mark.parametrize("source", ["hl7", "sr", "fhir", "csv"])
def test_signed_report_is_compared_whatever_its_source(
    house: Any, reporter: Any, film: Film, source: Any
) -> None:
    """The comparison depends on the row, not on its source."""
    drafted(house, settings_with(IN_SHADOW[0]), reporter, film(1))
    signed = SignedText(
        source=source,
        key="1",
        text="Right pneumothorax.",
        signed_at=datetime(2026, 11, 1, tzinfo=UTC),
        study_instance_uid="1.2.3.1",
    )
    with house.database.transaction() as session:
        enter(session, signed, database_now(session))
    assert compare_due(house.database) == 1
    assert pairs(house) == {"pneumothorax": False}


def test_corrected_report_replaces_the_comparison_and_a_withdrawn_one_ends_it(
    house: Any, reporter: Any, film: Film
) -> None:
    """The last signed report counts; after its withdrawal there is no comparison."""
    drafted(house, settings_with(IN_SHADOW[0]), reporter, film(1))
    sign(house, "Right pneumothorax.", 2)
    compare_due(house.database)
    assert pairs(house) == {"pneumothorax": False}
    sign(house, "No pneumothorax.", 1)
    compare_due(house.database)
    assert pairs(house) == {"pneumothorax": False}
    sign(house, "Left pneumothorax.", 3, status="C")
    compare_due(house.database)
    assert pairs(house) == {"pneumothorax": True}
    sign(house, "Left pneumothorax.", 4, status="X")
    compare_due(house.database)
    assert count(house, ShadowComparison) == 0
    assert compare_due(house.database) == 0


def test_signed_report_that_comes_again_is_entered_once(house: Any) -> None:
    """The same key from the same source is the same report."""
    assert sign(house, "Right pneumothorax.", key="a")
    assert not sign(house, "Right pneumothorax.", key="a")
    assert count(house, SignedReport) == 1


@pytest.mark.parametrize(
    ("values", "compared", "code"),
    [
        ({"study_instance_uid": "", "accession_number": "A1", "patient_id": "P1"}, 1, None),
        ({"study_instance_uid": "", "accession_number": "A1", "patient_id": "P2"}, 0, None),
        ({"study_instance_uid": "", "accession_number": "A1"}, 0, None),
        ({"study_instance_uid": "1.2.3.9"}, 0, None),
        ({"patient_id": "P2"}, 0, "another-patient"),
        ({"patient_id": "P1"}, 1, None),
    ],
)
def test_signed_report_is_matched_by_uid_or_by_accession_and_patient(
    house: Any, reporter: Any, film: Film, values: dict[str, str], compared: int, code: str | None
) -> None:
    """A report of another patient, or with only an accession number, is not compared."""
    drafted(house, settings_with(IN_SHADOW[0]), reporter, film(1))
    sign(house, "Right pneumothorax.", **values)
    compare_due(house.database)
    assert count(house, ShadowComparison) == compared
    with house.database.reading() as session:
        assert session.scalars(select(SignedReport.code)).one() == code


def test_signed_report_in_an_unknown_language_is_not_compared(house: Any, reporter: Any, film: Film) -> None:
    """Such a report is counted under its own code."""
    drafted(house, settings_with(IN_SHADOW[0]), reporter, film(1))
    sign(house, "Aucun pneumothorax. Petit épanchement pleural gauche, inchangé depuis le dernier examen.")
    compare_due(house.database)
    with house.database.reading() as session:
        assert session.scalars(select(SignedReport.code)).one() == "unread-language"


def test_draft_keeps_device_and_input_statistics(house: Any, reporter: Any, film: Film) -> None:
    """The inputs of the drift check are stored with the draft; the site comes from the settings."""
    images = film(
        1, Manufacturer="ACME", ManufacturerModelName="DX 9", StationName="R1", KVP="125", Exposure="2"
    )
    settings = settings_with(IN_SHADOW[4])
    house.intake._site_of = settings.site_of
    drafted(house, settings, reporter, images)
    with house.database.reading() as session:
        (seen,) = observations(session)
        assert session.scalars(select(Study.site)).one() == "north"
    assert seen.stream == "north: ACME / DX 9 / R1"
    assert (seen.numbers["kvp"], seen.numbers["exposure"]) == (125.0, 2000.0)
    assert seen.findings == {"pneumothorax"}
    assert seen.disagrees is None


def test_sites_that_share_a_sender_are_refused() -> None:
    """A sender belongs to one site only."""
    with pytest.raises(ValueError, match="two sites have the calling AE title"):
        Settings(
            sites=(
                SiteSettings(name="a", calling_ae_titles=("X",)),
                SiteSettings(name="b", calling_ae_titles=("X",)),
            )
        )
