"""Signed reports from a FHIR server: which count, what they contain, and each entered once."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.signed import SignedReport
from agent.database.signed_text import SignedText, enter
from agent.foundation.errors import DeliveryFailed
from agent.foundation.settings.signed import FhirReportsSettings
from agent.network.scu import ConnectionLost
from agent.ris.signed.fhir_poll import FhirReports
from agent.ris.signed.fhir_reports import signed_of

SETTINGS = FhirReportsSettings(url="http://127.0.0.1/fhir", patient_system="urn:oid:1.9")
HTML = base64.b64encode(b"<p>A&lt;B</p>C").decode()
TEXT = "Findings: No effusion.\nImpression: Normal."


def report(number: int = 1, **values: Any) -> dict[str, Any]:
    """A signed report as another system has it."""
    made: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": f"r{number}",
        "meta": {"versionId": "1", "lastUpdated": f"2026-01-02T10:00:{number:02d}.000Z"},
        "status": "final",
        "issued": "2026-01-02T11:00:00+01:00",
        "subject": {"identifier": {"system": "urn:oid:1.9", "value": "P1"}},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}],
        "basedOn": [{"reference": "ServiceRequest/s1"}],
        "resultsInterpreter": [{"display": "Dr. Ann Roe"}],
        "presentedForm": [
            {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(TEXT.encode()).decode()}
        ],
    }
    return {key: value for key, value in (made | values).items() if value is not None}


HELD = {
    "ServiceRequest/s1": {"identifier": [{"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}]},
    "Patient/p1": {"identifier": [{"system": "x", "value": "MRN"}, {"system": "urn:oid:1.9", "value": "P1"}]},
    "ImagingStudy/i1": {"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}]},
}


def read(**values: Any) -> SignedText | None:
    """Read a report."""
    return signed_of(report(**values), SETTINGS, lambda reference: HELD.get(reference, {}))


def test_report_says_whose_it_is_and_what() -> None:
    """Study, accession number, patient, signer, time and text are read, by logical and literal references."""
    signed = read()
    assert signed is not None
    assert (signed.study_instance_uid, signed.accession_number, signed.patient_id) == ("1.2.3", "A1", "P1")
    assert (signed.status, signed.signed_by, signed.text) == ("F", "Dr. Ann Roe", TEXT)
    assert (signed.key, signed.signed_at.isoformat()) == ("r1/1", "2026-01-02T11:00:00+01:00")
    literal = read(
        subject={"reference": "Patient/p1"}, imagingStudy=[{"reference": "ImagingStudy/i1"}], basedOn=None
    )
    assert literal is not None
    assert (literal.study_instance_uid, literal.accession_number, literal.patient_id) == ("1.2.3", "", "P1")


@pytest.mark.parametrize(
    ("status", "stated"),
    [
        ("final", "F"),
        ("amended", "C"),
        ("corrected", "C"),
        ("appended", "C"),
        ("cancelled", "X"),
        ("entered-in-error", "X"),
        ("preliminary", None),
        ("registered", None),
        ("partial", None),
        ("unknown", None),
        (None, None),
    ],
)
def test_unsigned_reports_are_no_truth(status: str | None, stated: str | None) -> None:
    """An unsigned report is never compared with; a withdrawn one is reported as withdrawn."""
    signed = read(status=status)
    assert (None if signed is None else signed.status) == stated


def test_our_own_result_is_no_truth() -> None:
    """A result of this agent on the same server would be compared with itself."""
    assert read(identifier=[{"system": "urn:echo-agent:result", "value": "1.2.3"}]) is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"presentedForm": [{"contentType": "text/html", "data": HTML}]},
            "A<B\nC",
        ),
        (
            {"presentedForm": None, "text": {"div": "<div><p>No effusion.</p><p>Heart normal.</p></div>"}},
            "No effusion.\nHeart normal.",
        ),
        ({"presentedForm": None, "conclusion": "Normal."}, "Normal."),
        # A generated narrative may omit the conclusion or repeat it; an empty one contains nothing.
        (
            {"presentedForm": None, "text": {"div": "<div>Report of P1</div>"}, "conclusion": "Effusion."},
            "Report of P1\nEffusion.",
        ),
        (
            {"presentedForm": None, "text": {"div": "<p>No  effusion.</p>"}, "conclusion": "No effusion."},
            "No effusion.",
        ),
        (
            {
                "presentedForm": None,
                "text": {"status": "empty", "div": "<div>No text</div>"},
                "conclusion": "Effusion.",
            },
            "Effusion.",
        ),
        ({"presentedForm": [{"contentType": "application/pdf", "data": "AAAA"}], "conclusion": "N."}, "N."),
    ],
)
def test_text_of_other_forms(values: dict[str, Any], text: str) -> None:
    """HTML, narrative or conclusion are read where there is no plain text."""
    signed = read(**values)
    assert signed is not None
    assert signed.text == text


def test_text_that_a_database_cannot_hold_is_entered_all_the_same(database: Database) -> None:
    """NUL and lone surrogates occur in JSON; a report that cannot be written would be requested again."""
    texts = {"presentedForm": None, "conclusion": "Small\0 effu\xadsion \ud83d.\r\nHeart\x0cnormal."}
    signed = read(**texts, resultsInterpreter=[{"display": "Roe\0"}])
    assert signed is not None
    with database.transaction() as session:
        assert enter(session, signed, database_now(session))
    with database.reading() as session:
        row = session.scalars(select(SignedReport)).one()
    assert (row.text, row.signed_by) == ("Small effusion ?.\nHeart normal.", "Roe")


@pytest.mark.parametrize(
    "values",
    [
        {"presentedForm": None},
        {"presentedForm": "x", "text": 5},
        {"imagingStudy": None, "basedOn": None},
        {"id": None},
        {"issued": "yesterday", "meta": 7},
        {"presentedForm": [{"contentType": "text/plain", "data": 7}]},
        {"subject": [], "imagingStudy": {}, "basedOn": "x", "identifier": 3},
    ],
)
def test_report_that_says_too_little_is_none(values: dict[str, Any]) -> None:
    """Without text, study or time there is nothing to compare with; irregular forms raise nothing."""
    assert read(**values) is None


class Server(http.server.BaseHTTPRequestHandler):
    """A FHIR server with reports, two on a page."""

    reports: list[dict[str, Any]]
    asked: list[str]
    status: int

    def do_GET(self) -> None:
        """Answer."""
        address = urllib.parse.urlsplit(self.path)
        keys = dict(urllib.parse.parse_qsl(address.query))
        name = address.path.removeprefix("/fhir/")
        self.asked.append(self.path)
        if name != "DiagnosticReport":
            self._say(200 if name in HELD else 404, HELD.get(name, {}))
            return
        since = keys.get("_lastUpdated", "").removeprefix("ge")
        new = [one for one in self.reports if one["meta"]["lastUpdated"] >= since[:19]]
        at = int(keys.get("at", 0))
        link = []
        if at + 2 < len(new):
            query = urllib.parse.urlencode(keys | {"at": str(at + 2)})
            link = [{"relation": "next", "url": f"/fhir/DiagnosticReport?{query}"}]
        self._say(self.status, {"entry": [{"resource": one} for one in new[at : at + 2]], "link": link})

    def _say(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(*reports: dict[str, Any], status: int = 200) -> Iterator[tuple[str, type[Server]]]:
    """Serve reports."""
    handler = type("Handler", (Server,), {"reports": list(reports), "asked": [], "status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/fhir", handler
        finally:
            running.shutdown()
            thread.join()


def rows(database: Database) -> list[tuple[str, str]]:
    """Key and status of the entered rows."""
    with database.reading() as session:
        found = session.scalars(select(SignedReport).order_by(SignedReport.id))
        return [(one.source_key, one.status) for one in found]


def test_every_page_is_read_and_each_version_entered_once(database: Database) -> None:
    """Three reports on two pages are entered; the next query enters nothing, and then only a correction."""
    held = [report(n) for n in (1, 2, 3)]
    with serving(*held) as (url, server):
        settings = FhirReportsSettings(url=url, look_back_s=300_000_000)
        assert FhirReports(database, settings).run_once() == 3
        assert FhirReports(database, settings).run_once() == 0
        searched = [path for path in server.asked if "DiagnosticReport?" in path]
        assert "10%3A00%3A03" in searched[-1]
        server.reports.append(
            report(2, status="amended", meta={"versionId": "2", "lastUpdated": "2026-01-03T10:00:00Z"})
        )
        assert FhirReports(database, settings).run_once() == 1
    assert rows(database) == [("r1/1", "F"), ("r2/1", "F"), ("r3/1", "F"), ("r2/2", "C")]


def test_server_that_fails_skips_nothing(database: Database) -> None:
    """An error leaves the mark where it was; the next query finds everything."""
    with serving(report(1), status=500) as (url, _server), pytest.raises(DeliveryFailed, match="500"):
        FhirReports(database, FhirReportsSettings(url=url, look_back_s=300_000_000)).run_once()
    with pytest.raises(ConnectionLost):
        FhirReports(database, FhirReportsSettings(url=url, timeout_s=2)).run_once()
    with serving(report(1)) as (url, _server):
        settings = FhirReportsSettings(url=url, look_back_s=300_000_000)
        assert FhirReports(database, settings).run_once() == 1


def test_page_of_another_server_is_not_asked(database: Database) -> None:
    """Our token is sent only to the server in the settings."""
    with serving(report(1, subject={"reference": "http://127.0.0.1:9/Patient/1"})) as (url, server):
        settings = FhirReportsSettings(url=url, look_back_s=300_000_000)
        assert FhirReports(database, settings).run_once() == 1
    with database.reading() as session:
        assert session.scalars(select(SignedReport.patient_id)).one() == ""
    assert all(path.startswith("/fhir/") for path in server.asked)
