"""Which signed report belongs to a study: addenda, merged patients, other patients, other hospitals."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from agent.database.tables import ShadowComparison, SignedReport
from agent.foundation.settings.hl7 import Hl7Settings
from agent.foundation.settings.tree import Settings, ShadowSettings
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.ris.inbox import Inbox
from agent.shadow.comparing import compare_due
from tests.support.hl7_messages import hl7, merge, msh, pid, segment
from tests.unit.agent.shadow.test_shadow_mode import Film, count, drafted, pairs, sign

SHADOW = Settings(shadow=ShadowSettings(mode="shadow"))


def told(
    house: Any, number: int, text: str, *, name: str = "Report", status: str = "F", **stated: str
) -> None:
    """Send a report from the RIS, signed on the given day of November."""
    accession, patient = stated.get("accession", "A1"), stated.get("patient", "P1")
    request = segment("OBR", {18: accession, 22: f"202611{number:02}1000+0000", 25: status})
    uid = f"OBX|2|HD|113014^DICOM Study^DCM||{stated['uid']}||||||F" if "uid" in stated else "NTE|1"
    raw = hl7(
        msh("ORU^R01", f"R{number}"),
        pid(patient, authority=stated.get("issuer", "")),
        request,
        f"OBX|1|TX|R^{name}||{text}||||||F",
        uid,
    )
    assert [next(one.all("MSA")).text(1) for one in _answers(house, raw)] == ["AA"]


def _answers(house: Any, raw: bytes) -> list[Message]:
    inbox = Inbox(house.database, Hl7Settings())
    return [parse(one) for one in inbox.take(raw, "127.0.0.1")]


def codes(house: Any) -> list[str | None]:
    with house.database.reading() as session:
        return list(session.scalars(select(SignedReport.code).order_by(SignedReport.id)))


def test_addendum_leaves_the_report_standing_that_it_adds_to(house: Any, reporter: Any, film: Film) -> None:
    """An addendum sent alone is appended to the previous report once; a corrected report replaces both."""
    drafted(house, SHADOW, reporter, film(1))
    told(house, 1, "Right pneumothorax.")
    told(house, 2, "Small left effusion.", name="Addendum")
    told(house, 3, "Small left effusion.", name="Addendum", status="C")
    compare_due(house.database)
    assert pairs(house) == {"pleural_effusion": True, "pneumothorax": False}
    with house.database.reading() as session:
        newest = session.scalars(select(SignedReport.text).order_by(SignedReport.id.desc())).first()
    assert newest == "Right pneumothorax.\nAddendum:\nSmall left effusion."
    told(house, 4, "No pneumothorax.", status="C")
    compare_due(house.database)
    assert pairs(house) == {"pneumothorax": True}


@pytest.mark.parametrize("before", ["nothing", "withdrawn", "another order"])
def test_addendum_to_a_report_that_is_not_here_is_not_compared(
    house: Any, reporter: Any, film: Film, before: str
) -> None:
    """An addendum does not repeat the report, so every finding of the draft would count as wrong."""
    drafted(house, SHADOW, reporter, film(1))
    if before == "withdrawn":
        told(house, 1, "Right pneumothorax.")
        told(house, 2, "", status="X")
    if before == "another order":
        told(house, 1, "Right pneumothorax.", accession="A2")
    told(house, 3, "Small left effusion.", name="Addendum")
    for _ in range(2):
        compare_due(house.database)
        assert count(house, ShadowComparison) == 0
        assert codes(house)[-1] == "addendum-alone"


@pytest.mark.parametrize("uid", ["", "1.2.3.1"])
def test_report_under_the_number_that_the_patient_was_merged_into_is_compared(
    house: Any, reporter: Any, film: Film, uid: str
) -> None:
    """Images keep the patient ID they were acquired with; the RIS reports under the current one."""
    stated = {"uid": uid} if uid else {}
    drafted(house, SHADOW, reporter, film(1))
    _answers(house, merge("M1", "P9", "P1"))
    told(house, 1, "Right pneumothorax.", patient="P9", **stated)
    compare_due(house.database)
    with house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ShadowComparison)) == 1
    assert codes(house) == [None]


def test_report_of_another_patient_does_not_replace_the_studys_own(
    house: Any, reporter: Any, film: Film
) -> None:
    """A later report and a withdrawal under another patient ID do not count."""
    drafted(house, SHADOW, reporter, film(1))
    told(house, 1, "Right pneumothorax.", uid="1.2.3.1")
    told(house, 2, "No pneumothorax.", uid="1.2.3.1", patient="P2")
    told(house, 3, "", uid="1.2.3.1", patient="P2", status="X")
    compare_due(house.database)
    assert pairs(house) == {"pneumothorax": False}
    assert codes(house) == [None, "another-patient", "another-patient"]


@pytest.mark.parametrize(("issuer", "compared"), [("", 1), ("NORTH", 1), ("SOUTH", 0)])
def test_accession_and_number_of_another_hospital_are_no_match(
    house: Any, reporter: Any, film: Film, issuer: str, compared: int
) -> None:
    """Two hospitals may use the same patient IDs and accession numbers; the issuer tells them apart."""
    drafted(house, SHADOW, reporter, film(1, IssuerOfPatientID="NORTH"))
    signed = {"study_instance_uid": "", "accession_number": "A1", "patient_id": "P1"}
    sign(house, "Right pneumothorax.", issuer_of_patient_id=issuer, **signed)
    compare_due(house.database)
    assert count(house, ShadowComparison) == compared
