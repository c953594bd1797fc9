"""Both documents in OHIF, served with Orthanc's DICOMweb plugin, in a real browser, on loopback only.

The viewer is npm's `@ohif/app`, whose package contains the built pages; it is fetched once into the
user's cache.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Page, TimeoutError, expect, sync_playwright
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from agent.commands.demo.orthanc import Orthanc
from dicom_sr.document import Algorithm, DraftContent, SourceStudy, build_draft, encode

pytestmark = pytest.mark.integration

VERSION = "3.13.2"
PATIENCE_MS = 60_000
SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "orthanc",
    "configuration": {
        "friendlyName": "Orthanc",
        "name": "orthanc",
        "wadoUriRoot": "/dicom-web",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
    },
}
CONFIGURATION = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 1,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},
    "showErrorDetails": "always",
    "defaultDataSourceName": "orthanc",
    "dataSources": [SOURCE],
}


class Viewer(http.server.SimpleHTTPRequestHandler):
    """The viewer's pages, with Orthanc's DICOMweb from the same origin."""

    pages: ClassVar[Path]
    archive: ClassVar[str]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, directory=str(self.pages), **options)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Forward a POST, which only DICOMweb uses."""
        self._forward()

    def do_GET(self) -> None:
        """Serve DICOMweb, the configuration, a file, or the application's single page."""
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web"):
            self._forward()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", f"window.config={json.dumps(CONFIGURATION)};".encode())
        else:
            if path == "/" or not (self.pages / path.lstrip("/")).is_file():
                self.path = "/index.html"
            super().do_GET()

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        request = urllib.request.Request(self.archive + self.path, data=body, method=self.command)
        for name in ("Accept", "Content-Type"):
            if self.headers.get(name):
                request.add_header(name, self.headers[name])
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self._answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                self._answer(refusal.code, refusal.headers.get("Content-Type", ""), refusal.read())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def pages(program: Callable[[str], str]) -> Path:
    """The unpacked viewer, from the cache or from npm."""
    npm = program("npm")
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echo-agent" / f"ohif-{VERSION}"
    )
    dist = cache / "package" / "dist"
    if not (dist / "index.html").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(
            [npm, "pack", f"@ohif/app@{VERSION}", "--silent", "--pack-destination", str(cache)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        if fetched.returncode != 0 and os.environ.get("CI") != "true":
            pytest.skip("npm cannot be reached, and the viewer is not in the cache")
        assert fetched.returncode == 0, fetched.stderr
        archive = cache / fetched.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as packed:
            packed.extractall(cache, filter="data")
        archive.unlink()
    return dist


@pytest.fixture(scope="module")
def viewer(pages: Path, orthanc: Orthanc) -> Iterator[str]:
    """The viewer's address."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    handler = type("BoundViewer", (Viewer,), {"pages": pages, "archive": orthanc.url})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def troubles() -> list[str]:
    """The browser's error messages."""
    return []


@pytest.fixture
def page(viewer: str, program: Callable[[str], str], troubles: list[str]) -> Iterator[Page]:
    """A browser page that reports errors, rejections, failed requests and traffic to other servers."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--enable-unsafe-swiftshader",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(PATIENCE_MS)
        opened.add_init_script(
            "addEventListener('unhandledrejection',"
            " event => console.error('rejected', event.reason && event.reason.message))"
        )
        opened.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on(
            "request",
            lambda request: (
                None if request.url.startswith((viewer, "blob:", "data:")) else troubles.append(request.url)
            ),
        )
        yield opened
        browser.close()


@pytest.fixture
def study(make_study: Callable[..., SourceStudy], plain_case: Any, orthanc: Orthanc) -> SourceStudy:
    """A frontal and a lateral film with pixels, in Orthanc, one series each."""
    images = make_study(replace(plain_case, label="ohif", images=2)).images
    for number, image in enumerate(images, 1):
        image.SeriesInstanceUID = f"{image.SeriesInstanceUID[:60]}.{number}"
        image.SeriesNumber, image.InstanceNumber = number, 1
        image.SeriesDescription = "Chest frontal" if number == 1 else "Chest lateral"
        add_pixels(image)
        put(orthanc, as_file(image))
    return SourceStudy(images=images)


def test_both_documents_open_in_ohif(
    page: Page,
    viewer: str,
    study: SourceStudy,
    content: DraftContent,
    algorithm: Algorithm,
    created: Any,
    orthanc: Orthanc,
    troubles: list[str],
) -> None:
    """The study lists both series; B shows the draft, A shows the film; nothing fails in between."""
    model = replace(algorithm, demonstration=False)
    pair = build_draft(study, content, model, revision=1, created=created)
    put(orthanc, encode(pair.findings))
    put(orthanc, encode(pair.report))

    page.goto(f"{viewer}/viewer?StudyInstanceUIDs={pair.report.StudyInstanceUID}")
    report = page.get_by_text("AI PRE-DRAFT report (unverified)", exact=True).first
    findings = page.get_by_text("AI findings (structured, unverified)", exact=True).first
    expect(report).to_be_visible(timeout=PATIENCE_MS)
    expect(findings).to_be_visible(timeout=PATIENCE_MS)
    film = page.locator("canvas.cornerstone-canvas").first
    expect(film).to_be_visible(timeout=PATIENCE_MS)
    skip_tour(page)

    report.dblclick()
    for sentence in (*content.findings_sentences, *content.impression_sentences, *content.flags):
        expect(page.get_by_text(sentence).first).to_be_visible(timeout=PATIENCE_MS)
    expect(film).to_have_count(0)

    findings.dblclick()
    expect(film).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("svg.svg-layer circle").first).to_be_attached(timeout=PATIENCE_MS)
    assert troubles == []


def skip_tour(page: Page) -> None:
    """Close the guided tour of the first visit, if there is one."""
    tour = page.get_by_text("Skip all")
    with contextlib.suppress(TimeoutError):  # no tour is fine
        tour.first.click(timeout=10_000)


def add_pixels(image: Dataset) -> None:
    """Add a gradient of 256 by 256 pixels."""
    image.Rows = image.Columns = 256
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelSpacing, image.WindowCenter, image.WindowWidth = ["0.5", "0.5"], "2048", "4096"
    image.PixelData = b"".join((16 * (x ^ y)).to_bytes(2, "little") for y in range(256) for x in range(256))
    image["PixelData"].VR = "OW"


def as_file(image: Dataset) -> bytes:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()


def put(server: Orthanc, raw: bytes) -> None:
    request = urllib.request.Request(f"{server.url}/instances", data=raw, method="POST")
    urllib.request.urlopen(request, timeout=30).close()
