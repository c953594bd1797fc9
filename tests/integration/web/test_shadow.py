"""Shadow mode on the page: figures, filters in the address, and disagreements one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from agent.database.session import Database, database_now
from agent.database.signed_text import SignedText, Source, enter
from agent.database.tables import AuditEvent, ShadowComparison
from agent.shadow.comparing import compare_due
from agent.web.accounts import Role, add_user
from tests.support.shadow import sign

from .conftest import PASSWORD, sign_in

HOSTILE = "<script>x</script>"


@pytest.fixture
def compared(database: Database, drafted: Callable[..., int]) -> list[int]:
    """Three studies drafted as left pneumothorax: signed as right, signed as left, and signed as none."""
    studies = [drafted(f"1.2.{n}", PatientName=HOSTILE, Manufacturer=HOSTILE) for n in (1, 2, 3)]
    for uid, text in (
        ("1.2.1", "Right pneumothorax. No effusion."),
        ("1.2.2", "Left pneumothorax."),
        ("1.2.3", "Small effusion on the left. <b>No pneumothorax.</b>"),
    ):
        sign(database, uid, text)
    return studies


def comparison_ids(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.scalars(select(ShadowComparison.id).order_by(ShadowComparison.study_id)))


def test_figures_show_shares_with_intervals_and_plots(client: TestClient, compared: list[int]) -> None:
    """Two of three drafts of pneumothorax are signed; the plots are inline and without style attributes."""
    html = client.get("/shadow").text
    row = re.search(r"finding=pneumothorax.*?</tr>", html, re.DOTALL)
    assert row is not None
    assert "0.67 <small>0.21 to 0.94, 3</small>" in row[0]
    assert html.count('<svg class="plot"') == 2
    assert " style=" not in html
    assert HOSTILE not in html


def test_filters_stand_in_the_address(client: TestClient, database: Database, compared: list[int]) -> None:
    """A device, model or month without data shows nothing; an invalid month is not found."""
    with database.reading() as session:
        row = session.scalars(select(ShadowComparison)).first()
    assert row is not None
    month = f"{row.drafted_at:%Y-%m}"
    params = {"device": row.device, "model": row.model_digest, "month": month}
    assert "Studies compared" in client.get("/shadow", params=params).text
    html = client.get("/shadow", params={"site": "elsewhere"}).text
    assert "Nothing fits this choice" in html
    assert '<option value="elsewhere" selected>elsewhere</option>' in html
    assert "Nothing fits this choice" in client.get("/shadow", params={"month": "2001-01"}).text
    for wrong in ("2026-13", "x", "0000-01", "9999-12", "٢٠٢٦-٠١"):
        assert client.get("/shadow", params={"month": wrong}).status_code == 404
    assert client.get("/shadow", params={"site": "a\0b" * 500}).status_code == 200


def test_page_without_any_comparison_says_where_reports_come_from(client: TestClient) -> None:
    """The page without comparisons differs from that of a filter that matches nothing."""
    assert "Nothing is compared yet" in client.get("/shadow").text


@pytest.mark.parametrize(
    ("source", "year", "words"),
    [
        ("hl7", 2026, "Rita Reader, from HL7, signed 2026-11-01 00:00 UTC"),
        ("sr", 2026, "from a Structured Report"),
        ("fhir", 2026, "from FHIR"),
        ("csv", 1970, "from a CSV file, time of signing not stated"),
    ],
)
def test_disagreement_names_who_signed_and_where_from(
    client: TestClient, database: Database, drafted: Callable[..., int], source: Source, year: int, words: str
) -> None:
    """A line of a CSV file without a time is shown without one, not with the beginning of 1970."""
    drafted("1.2.1")
    signed = SignedText(
        source=source,
        key="1",
        text="Right pneumothorax.",
        signed_at=datetime(year, 11 if year > 1970 else 1, 1, tzinfo=UTC),
        signed_by="Rita Reader",
        study_instance_uid="1.2.1",
    )
    with database.transaction() as session:
        enter(session, signed, database_now(session))
    compare_due(database)
    (number,) = comparison_ids(database)
    assert words in client.get(f"/shadow/disagreements/{number}").text


def test_disagreements_are_read_one_by_one(
    client: TestClient, database: Database, compared: list[int]
) -> None:
    """Film, both texts with the evidence marked, the differences, and links to the next and the previous."""
    first, agreed, last = comparison_ids(database)
    listed = client.get("/shadow/disagreements").text
    assert f"/shadow/disagreements/{first}" in listed
    assert f"/shadow/disagreements/{agreed}" not in listed
    assert HOSTILE not in listed
    html = client.get(f"/shadow/disagreements/{last}").text
    assert f'data-film="/studies/{compared[2]}/films/' in html
    assert '<mark data-concepts="pneumothorax">There is a large left pneumothorax.</mark>' in html
    assert '<mark data-concepts="pleural_effusion">Small effusion on the left.</mark>' in html
    assert "&lt;b&gt;" in html
    assert f'href="/shadow/disagreements/{first}" rel="next"' in html
    assert 'rel="prev"' not in html
    only = client.get(f"/shadow/disagreements/{last}?finding=pleural_effusion").text
    assert 'rel="next"' not in only
    html = client.get(f"/shadow/disagreements/{first}").text
    assert "present, left" in html
    assert "present, right" in html
    assert f'href="/shadow/disagreements/{last}" rel="prev"' in html


def test_disagreement_that_a_correction_has_replaced_is_not_found(
    client: TestClient, database: Database, compared: list[int]
) -> None:
    """The old address and a number beyond any row are not found."""
    first = comparison_ids(database)[0]
    sign(database, "1.2.1", "Left pneumothorax.", status="X")
    assert client.get(f"/shadow/disagreements/{first}").status_code == 404
    assert client.get(f"/shadow/disagreements/{1 << 70}").status_code == 404


def test_opening_a_disagreement_is_audited(
    client: TestClient, database: Database, compared: list[int]
) -> None:
    """The event of the list has no study, that of a disagreement has its study."""
    client.get("/shadow/disagreements")
    client.get(f"/shadow/disagreements/{comparison_ids(database)[2]}")
    with database.reading() as session:
        events = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    seen = [(one.action, one.study_id) for one in events if one.action in ("list", "view")]
    assert seen == [("list", None), ("view", compared[2])]


@pytest.mark.parametrize(("role", "status"), [(Role.READER, 403), (Role.RADIOLOGIST, 200), (Role.ADMIN, 200)])
def test_shadow_pages_are_for_radiologists_and_admins(
    client: TestClient, database: Database, compared: list[int], role: Role, status: int
) -> None:
    """A reader gets neither the figures and disagreements nor a link to them."""
    add_user(database, "ann", person_name="Roe^Ann", role=role, password=PASSWORD)
    assert client.get("/shadow").status_code == 303
    sign_in(client, "ann")
    number = comparison_ids(database)[0]
    for path in ("/shadow", "/shadow/disagreements", f"/shadow/disagreements/{number}"):
        assert client.get(path).status_code == status
    assert ('href="/shadow"' in client.get("/").text) == (status == 200)
