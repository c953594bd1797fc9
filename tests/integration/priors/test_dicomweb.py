"""Earlier studies over DICOMweb, from a real Orthanc and from misbehaving servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from agent.commands.demo.orthanc import Orthanc, free_ports
from agent.database.tables import Instance
from agent.foundation.errors import AgentError, ArchiveLate, ArchiveRefused, ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.archive import archive_trouble, connect_archive
from agent.network.dicomweb import open_dicomweb
from agent.network.incoming import Incoming
from tests.integration.priors.site import Site, film, report

pytestmark = pytest.mark.integration
Keep = Callable[..., None]


@pytest.fixture
def web(orthanc: Orthanc, site_with: Callable[..., Site]) -> Site:
    """A site whose archive is Orthanc's DICOMweb server."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc has no DICOMweb plugin")
    return site_with(ArchiveSettings(url=f"{orthanc.url}/dicom-web", ae_title="WEBPACS"))


def test_two_newest_earlier_studies_are_fetched_over_dicomweb(web: Site, archived: Keep) -> None:
    """QIDO and WADO yield what C-FIND and C-MOVE would: the images, the report, and no job."""
    old, middle, new = (
        film(f"WEB-1/{year}", StudyDate=f"{year}0101", StudyDescription="Thorax")
        for year in (2020, 2022, 2024)
    )
    lateral = film("WEB-1/2024", 2, StudyDate="20240101")
    later = film("WEB-1/2027", StudyDate="20270101")
    archived(old, middle, new, lateral, later, report(middle, "Small left effusion.", "Heart normal."))
    job_id = web.queue(film("WEB-1/now"))
    assert web.fetcher.run_once() == 1
    assert (web.search_of(job_id).code, web.told(job_id)[-1]) == ("priors-found", "priors-found")
    (claim,) = web.claim()
    material = web.material(claim)
    assert material.priors.procedures == (
        "Earlier radiograph of 2024-01-01 (Thorax), 2 images.",
        "Earlier radiograph of 2022-01-01 (Thorax), 1 image.",
    )
    assert material.priors.findings == ("Report of 2022-01-01: Finding: Small left effusion. Heart normal.",)
    named = [str(header.SOPInstanceUID) for header in material.priors.headers]
    assert named == [new.SOPInstanceUID, lateral.SOPInstanceUID, middle.SOPInstanceUID]
    assert web.counts() == {"studies": 3, "jobs": 1, "listings": 0}
    assert web.audited() == [("query", True, None), ("priors-fetched", True, "priors-found")]


def test_what_is_here_already_is_not_fetched_again(web: Site, archived: Keep) -> None:
    """A patient's second study adds no row and no file for the same earlier images."""
    archived(film("WEB-2/before", StudyDate="20250101"))
    web.queue(film("WEB-2/now"))
    web.fetcher.run_once()
    web.queue(film("WEB-2/next", PatientID="WEB-2", StudyDate="20260301"))
    web.fetcher.run_once()
    with web.database.reading() as session:
        priors = session.scalars(select(Instance).where(Instance.prior.is_(True))).all()
    assert len(priors) == 1


def test_patient_without_earlier_studies_over_dicomweb(web: Site) -> None:
    """An empty answer is not a failure."""
    job_id = web.queue(film("WEB-3/now"))
    web.fetcher.run_once()
    assert web.told(job_id)[-1] == "priors-none"


def test_whole_study_is_listed_and_pulled(orthanc: Orthanc, archived: Keep) -> None:
    """The client alone lists a day's studies, series and instances, and pulls each file unchanged."""
    images = [film("WEB-4/one", n, StudyDate="19990102") for n in (1, 2)]
    archived(*images)
    taken: list[bytes] = []
    incoming = Incoming(ae_title="", take=lambda file: taken.append(bytes(file)), longest=10_000_000)
    settings = ArchiveSettings(url=f"{orthanc.url}/dicom-web/")
    with open_dicomweb(settings, 20, incoming) as archive:
        (found,) = archive.matching({"StudyDate": "19990101-19990103"})
        assert (found.patient_id, found.modalities, found.instances) == ("WEB-4", (images[0].Modality,), 2)
        assert archive.study(found.study_instance_uid) == found
        assert archive.study("2.25.1") is None
        series = archive.series(found.study_instance_uid)
        assert {one.instances for one in series} == {1}
        listed = [
            instance.sop_instance_uid
            for one in series
            for instance in archive.instances(found.study_instance_uid, one.series_instance_uid)
        ]
        assert sorted(listed) == sorted(str(one.SOPInstanceUID) for one in images)
        for one in series:
            archive.retrieve(found.study_instance_uid, one.series_instance_uid)
    assert [file[128:132] for file in taken] == [b"DICM", b"DICM"]
    assert archive_trouble(settings, 5) is None


@dataclass(kw_only=True)
class FakeServer:
    """A DICOMweb server with a configured answer (status, headers, body) for each start of a path."""

    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]]
    paths: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[ArchiveSettings]:
        """Listen."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                kind = "wado" if "multipart" in self.headers["Accept"] else self.path.split("?")[0]
                for name, answer in outer.answers.items():
                    if kind.endswith(name):
                        answer(self)
                        return
                say(404)(self)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield ArchiveSettings(url=f"http://127.0.0.1:{server.server_port}/dicom-web", timeout_s=2)
        finally:
            server.shutdown()
            server.server_close()


def say(status: int, body: Any = b"", kind: str = "application/dicom+json") -> Callable[..., None]:
    """Answer with a status and a body, which is encoded as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Answer with an endless body, byte by byte."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom+json")
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b" " * 70_000)
            time.sleep(0.05)
    except OSError:
        pass


def studies_of(settings: ArchiveSettings, budget_s: float = 5) -> list[Any]:
    """Ask for a patient's studies."""
    with connect_archive(settings, budget_s) as archive:
        return archive.studies(patient_id="X", issuer_of_patient_id="", since="20200101", until="20260101")


def element(vr: str, *values: Any) -> dict[str, Any]:
    """One element of the DICOM JSON model."""
    return {"vr": vr, "Value": list(values)}


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (say(500), ArchiveUnavailable),
        (say(503), ArchiveUnavailable),
        (say(429), ArchiveUnavailable),
        (say(401), ArchiveRefused),
        (say(400), ArchiveRefused),
        (say(404), ArchiveRefused),
        (say(200, b"<html>sign in</html>", "text/html"), ArchiveRefused),
        (say(200, b"\xff\xfe\x00"), ArchiveRefused),
        (dripping, ArchiveLate),
    ],
)
def test_dicomweb_servers_that_fail(answer: Callable[..., None], raised: type[AgentError]) -> None:
    """An error status or an unreadable body ends the search with a code, within the time limit."""
    started = time.monotonic()
    with FakeServer(answers={"studies": answer}).running() as settings, pytest.raises(raised) as caught:
        studies_of(settings, 1.5)
    assert "CANARY" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_server_that_is_not_there() -> None:
    """A refused connection means that the archive is unavailable."""
    settings = ArchiveSettings(url=f"http://127.0.0.1:{free_ports(1)[0]}/x")
    with pytest.raises(ArchiveUnavailable):
        studies_of(settings)
    assert archive_trouble(settings, 2) is not None


@pytest.mark.parametrize("body", [[], {}, [3, None, "x"], [{"0020000D": 5}], [{"0020000D": {"Value": {}}}]])
def test_answers_that_say_nothing_are_no_studies(body: Any) -> None:
    """Malformed entries in an answer are ignored."""
    with FakeServer(answers={"studies": say(200, body)}).running() as settings:
        assert studies_of(settings) == []


def test_values_of_any_kind_are_read_or_absent() -> None:
    """Malformed values are treated as absent."""
    body = [
        {
            "0020000D": element("UI", "1.2.3\0"),
            "00100020": element("LO", None, {"x": 1}),
            "00201208": element("IS", "many"),
            "00080061": element("CS", "DX", 7, None),
            "00080020": {"vr": "DA"},
        }
    ]
    server = FakeServer(answers={"studies": say(200, body)})
    with server.running() as settings:
        (found,) = studies_of(settings)
    assert (found.study_instance_uid, found.patient_id, found.instances) == ("1.2.3", "", None)
    assert (found.modalities, found.study_date) == (("DX", "7"), "")


def test_pages_are_followed_and_a_server_that_ignores_the_offset_ends() -> None:
    """All pages count; a repeated page is the last one; too many answers are a failure."""
    pages = {0: ["1.1", "1.2"], 2: ["1.3"], 3: []}

    def paged(handler: BaseHTTPRequestHandler) -> None:
        offset = int(handler.path.split("offset=")[1].split("&")[0])
        say(200, [{"0020000D": element("UI", uid)} for uid in pages[offset]])(handler)

    with FakeServer(answers={"studies": paged}).running() as settings:
        assert [one.study_instance_uid for one in studies_of(settings)] == ["1.1", "1.2", "1.3"]
    same = say(200, [{"0020000D": element("UI", f"1.{n}")} for n in range(30)])
    with FakeServer(answers={"studies": same}).running() as settings:
        assert len(studies_of(settings)) == 30
        with open_dicomweb(settings, 5) as archive, pytest.raises(ArchiveRefused, match="more than 7"):
            archive.matching({}, most=7)


MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.mark.parametrize(
    ("answer", "raised", "count"),
    [
        (
            say(200, b"--b\r\nContent-Type: application/dicom\r\n\r\nABC\r\n--b--\r\n", MULTIPART),
            None,
            1,
        ),
        (
            say(200, b"--b\r\nContent-Type: application/dicom\r\n\r\nABC\r\n--b\r\n\r\nAB", MULTIPART),
            ArchiveUnavailable,
            1,
        ),
        (say(200, b"--b\r\nContent-Type: text/html\r\n\r\nABC\r\n--b--", MULTIPART), ArchiveRefused, 0),
        (say(200, b"--b\r\n\r\n" + b"A" * 200 + b"\r\n--b--", MULTIPART), ArchiveRefused, 0),
        (say(200, b"ABC", "application/dicom"), ArchiveRefused, 0),
        (say(200, b"ABC", "multipart/related"), ArchiveRefused, 0),
        (say(406), ArchiveRefused, 0),
        (say(502), ArchiveUnavailable, 0),
    ],
)
def test_retrievals_that_go_wrong(
    answer: Callable[..., None], raised: type[AgentError] | None, count: int
) -> None:
    """Complete objects are kept; a truncated, too long or wrongly typed body is a failure."""
    taken: list[bytearray] = []
    incoming = Incoming(ae_title="", take=taken.append, longest=100)
    with (
        FakeServer(answers={"wado": answer}).running() as settings,
        open_dicomweb(settings, 5, incoming) as web,
    ):
        if raised is None:
            web.retrieve("1.2", "1.3")
        else:
            with pytest.raises(raised):
                web.retrieve("1.2", "1.3")
    assert len(taken) == count


def test_damaged_objects_of_an_archive_are_no_priors(site_with: Callable[..., Site]) -> None:
    """Bytes that are not a DICOM file are quarantined or ignored, and the search says that none came."""
    study, series = "1.2.3", "1.2.3.4"
    answers = {
        "wado": say(200, b"--b\r\n\r\nNOT DICOM\r\n--b--\r\n", MULTIPART),
        "studies": say(
            200,
            [
                {
                    "0020000D": element("UI", study),
                    "00100020": element("LO", "WEB-5"),
                    "00080020": element("DA", "20250101"),
                    "00080061": element("CS", "DX", "CR"),
                }
            ],
        ),
        "series": say(200, [{"0020000E": element("UI", series), "00080060": element("CS", "CR")}]),
    }
    with FakeServer(answers=answers).running() as settings:
        site = site_with(settings)
        job_id = site.queue(film("WEB-5/now"))
        site.fetcher.run_once()
        assert site.search_of(job_id).code == "priors-not-received"
