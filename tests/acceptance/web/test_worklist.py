"""The worklist in a real Chromium, on the whole service with the shipped network and a real Orthanc."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from pydicom import dcmread

from agent.commands.demo.orthanc import Orthanc, free_ports
from agent.commands.demo.phantom_study import PhantomStudy, phantom_study
from agent.commands.demo.sending import parcel_of, send
from agent.commands.demo.service import running_service, write_config
from dicom_sr.validate import validate
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen

from .chromium import PATIENCE_MS, SIZE, Reading, chromium, open_page, study_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A running agent with its page, opened in Chromium."""

    reading: Reading
    port: int

    def send(self, study: PhantomStudy) -> None:
        """Send a study by C-STORE."""
        parcels = [parcel_of(one, "image") for one in study.instances]
        sent = send(parcels, host="127.0.0.1", port=self.port, called="ECHO_AGENT")
        assert all(one.accepted for one in sent)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, orthanc: Orthanc) -> Iterator[Agent]:
    """Serve the agent with its web page, and open the list in Chromium."""
    folder = tmp_path_factory.mktemp("reading")
    dicom_port, web_port = free_ports(2)
    web: dict[str, Any] = {"enabled": True, "port": web_port}
    config = write_config(folder, orthanc, port=dicom_port, checkpoint=checkpoint, changes={"web": web})
    service = running_service(folder, orthanc, config=config, start_process=WarmPopen)
    with chromium() as browser, service:
        yield Agent(reading=open_page(browser, f"http://127.0.0.1:{web_port}"), port=dicom_port)


def verified(orthanc: Orthanc, study: PhantomStudy, flag: str, count: int) -> list[Any]:
    """Wait until the PACS holds `count` documents of a study; return those with the verification flag."""

    def held() -> tuple[bytes, ...]:
        try:
            return orthanc.documents(study.study_instance_uid)
        except OSError:  # no connection, or no answer in time
            return ()

    documents: tuple[bytes, ...] = ()

    def arrived() -> bool:
        nonlocal documents
        documents = held()
        return len(documents) >= count

    wait_for(arrived, "the documents did not reach the PACS")
    assert [validate(one) for one in documents] == [()] * len(documents)
    return [one for one in map(_read, documents) if one.VerificationFlag == flag]


def _read(content: bytes) -> Any:
    return dcmread(BytesIO(content))


def test_study_arrives_is_read_edited_and_accepted(served: Agent, orthanc: Orthanc) -> None:
    """It appears without a reload; the viewer, the evidence and the findings follow; the PACS gets the SR."""
    reading = served.reading
    page, study = reading.page, phantom_study(7, number=0, taken=datetime.now(UTC), size=512)
    page.evaluate("window.stayed = true")
    served.send(study)
    page.wait_for_selector("tr.study")
    assert page.evaluate("window.stayed") is True
    served.send(phantom_study(11, number=1, taken=datetime.now(UTC), size=512))
    page.locator("tr.study").nth(1).wait_for()
    reading.picture("worklist-list-dark")
    page.click("#theme")
    reading.picture("worklist-list-light")
    page.click("#theme")
    page.click("#rows-style")
    reading.picture("worklist-compact-dark")
    page.click("#rows-style")
    page.click(f"tr.study:has-text('{shown(study)}') a")
    study_open(page)
    canvas = page.locator("canvas[data-ready=yes]").first
    before = canvas.get_attribute("data-window")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 140, steps=4)
    page.mouse.up()
    page.wait_for_selector(f"canvas[data-ready=yes]:not([data-window='{before}'])")
    row = page.locator("tr[data-evidence]").first
    row.hover()
    evidence = page.locator(".mirror .evidence").first.text_content() or ""
    assert evidence.strip() in (row.get_attribute("data-evidence") or "")
    reading.picture("worklist-study-dark")
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    reading.picture("worklist-keys-dark")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 375, "height": 812})
    reading.picture("worklist-phone-dark")
    page.set_viewport_size(SIZE)
    page.fill("#text-impression", "Small right apical pneumothorax.\nFollow-up film in six hours.")
    page.wait_for_selector("tr.present:has-text('pneumothorax')")
    expect(page.locator("#accept")).to_have_text("Accept with changes")
    page.fill("input[name=observer]", "Roe^Richard")
    page.click("#theme")
    reading.picture("worklist-study-light")
    page.click("#theme")
    page.click("#accept")
    page.wait_for_selector(".flag.good:has-text('verified')")
    reading.picture("worklist-verified-dark")
    found = verified(orthanc, study, "VERIFIED", 4)
    assert {one.CompletionFlag for one in found} == {"COMPLETE"}
    assert {str(one.VerifyingObserverSequence[0].VerifyingObserverName) for one in found} == {"Roe^Richard"}
    assert all("PredecessorDocumentsSequence" in one for one in found)


def test_rejection_reaches_the_pacs(served: Agent, orthanc: Orthanc) -> None:
    """It arrives with its reason and without any finding."""
    reading = served.reading
    page, study = reading.page, phantom_study(13, number=2, taken=datetime.now(UTC), size=256)
    page.goto(reading.url)
    served.send(study)
    page.click(f"tr.study:has-text('{shown(study)}') a")
    study_open(page)
    page.fill("input[name=observer]", "Roe^Richard")
    page.click("text=Reject…")
    page.fill("input[name=reason]", "The lateral film is another patient's.")
    page.click("button.reject")
    page.wait_for_selector(".flag:has-text('rejected')")
    found = verified(orthanc, study, "UNVERIFIED", 4)
    rejection = [one.to_json() for one in found if "PredecessorDocumentsSequence" in one]
    assert (len(found), len(rejection)) == (4, 2)
    assert ["The lateral film is another patient's." in one for one in rejection] == [True, True]
    assert not any('"121071"' in one for one in rejection)


def test_stale_edit_is_refused_and_keeps_the_text(served: Agent) -> None:
    """When a second window has accepted meanwhile, the first is told and keeps its text."""
    reading = served.reading
    page, study = reading.page, phantom_study(17, number=3, taken=datetime.now(UTC), size=256)
    page.goto(reading.url)
    served.send(study)
    page.click(f"tr.study:has-text('{shown(study)}') a")
    study_open(page)
    page.fill("#text-findings", "A sentence that must not be lost.")
    page.fill("input[name=observer]", "Roe^Richard")
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(page.url)
    other.fill("input[name=observer]", "Doe^Other")
    other.click("#accept")
    other.wait_for_selector(".flag.good:has-text('verified')")
    other.close()
    page.click("#accept")
    page.wait_for_selector("#message:has-text('Another revision')")
    expect(page.locator("#text-findings")).to_have_value("A sentence that must not be lost.")
    # The refusal is an answer with status 409, which Chromium reports in its console.
    reading.complaints[:] = [one for one in reading.complaints if "409" not in one]


def test_browser_has_no_complaint_and_asks_nobody_else(served: Agent) -> None:
    """No console error in any test above, and no request to another server."""
    reading = served.reading
    assert (reading.complaints, reading.elsewhere) == ([], [])
    with urllib.request.urlopen(f"{reading.url}/static/vendor/htmx.min.js", timeout=30) as answer:
        assert answer.status == 200


def shown(study: PhantomStudy) -> str:
    """Return the row of a study in the list."""
    return str(study.instances[0].PatientID)
