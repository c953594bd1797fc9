"""The demo on a clean machine: phantoms in, drafts out, and the findings depend on the pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dicom_sr import labels
from dicom_sr.external import dciodvfy
from dicom_sr.validate import validate
from model.phantom.spec import PHANTOM_CONCEPTS
from tests.acceptance.conftest import Run
from tests.support.warm_python import warm_run

LEAST_MACRO_F1 = 0.80
STUDIES = 40
# Pixels per side: the network sees far fewer, and drawing larger phantoms takes longer than drafting them.
SIZE = 256
# The number of studies whose documents are checked by an external program, which is slow.
CHECKED = 3
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def demo(echo_agent: Callable[..., Run], checkpoint: Path) -> Run:
    """`echo-agent demo --studies 40 --orders --json`, run once for all tests.

    test_install.py starts the installed program as its users do.
    """
    options = (
        "--studies",
        str(STUDIES),
        "--size",
        str(SIZE),
        "--orders",
        "--json",
        "--checkpoint",
        str(checkpoint),
        "--output",
        "out",
    )
    return echo_agent("demo", *options, within_s=580, run=warm_run)


def test_demo_delivers_every_phantom(demo: Run) -> None:
    """All studies are delivered, none skipped or failed."""
    counts = {key: demo.result[key] for key in ("studies", "delivered", "skipped", "failed")}
    assert counts == {"studies": STUDIES, "delivered": STUDIES, "skipped": 0, "failed": 0}
    assert demo.status == 0


def test_demo_reports_have_draft_and_truth(demo: Run) -> None:
    """Each report has a text, its findings, and the phantom's true findings."""
    for report in demo.result["reports"]:
        assert report["state"] == "DELIVERED"
        assert report["text"]
        assert set(report["findings"]) == {"present", "absent", "indeterminate"}
        assert set(PHANTOM_CONCEPTS) <= {*report["truth"]["present"], *report["truth"]["absent"]}


def test_demo_says_which_model_and_how_fast(demo: Run) -> None:
    """The model is named as a demonstration; times are measured from the last image."""
    model, seconds = demo.result["model"], demo.result["seconds"]
    assert model["demonstration"] is True
    assert model["block_size"] == 8
    assert model["forwards_per_report"] > 0
    assert 0 < seconds["last_image_to_drafted_p50"] <= seconds["last_image_to_stored_p95"]


def test_demo_reports_pass_the_gate_and_dciodvfy(demo: Run, program: Callable[[str], str]) -> None:
    """Each study has two documents, which pass the agent's own rules and dciodvfy without errors."""
    program("dciodvfy")
    for number, report in enumerate(demo.result["reports"]):
        assert len(report["sr"]) == 2
        for name in report["sr"]:
            path = demo.folder / name
            assert validate(path.read_bytes()) == ()
            if number < CHECKED:
                assert dciodvfy(path).errors == ()


def test_demo_keeps_images(demo: Run) -> None:
    """`--output` keeps files that a person can look at."""
    for report in demo.result["reports"]:
        names = {path.name for path in (demo.folder / "out" / report["study_instance_uid"]).iterdir()}
        assert {"frontal.png", "findings.dcm", "report.dcm"} <= names


def test_findings_come_from_the_pixels(demo: Run) -> None:
    """Over 40 studies the drafts' macro-F1 against the phantoms' truth is at least 0.80."""
    reports = demo.result["reports"]
    assert len(reports) == STUDIES
    scores = [f1 for concept in PHANTOM_CONCEPTS if (f1 := _f1(concept, reports)) is not None]
    assert float(np.mean(scores)) >= LEAST_MACRO_F1


def _f1(concept: str, reports: list[dict[str, dict[str, list[str]]]]) -> float | None:
    """Return the F1 of a concept as *present*; None where no phantom shows it and no draft states it."""
    truth = np.array([concept in one["truth"]["present"] for one in reports])
    stated = np.array([concept in one["findings"]["present"] for one in reports])
    if not truth.any() and not stated.any():
        return None
    return float(2 * (truth & stated).sum() / (truth.sum() + stated.sum()))


def test_demo_orders_reach_their_drafts(demo: Run) -> None:
    """The clinical question is in each draft, and a STAT order makes its study STAT."""
    found = [one["order"] for one in demo.result["reports"]]
    assert all(one["question_in_draft"] for one in found)
    assert [one["stat"] for one in found] == [one["priority"] in ("S", "A") for one in found]
    assert {one["priority"] for one in found} == {"R", "S", "A"}


def test_demo_ris_receives_unverified_results_under_its_order_numbers(demo: Run) -> None:
    """One ORU per study, with status `R` and the warning first; the RIS's page shows order and result."""
    page = (demo.folder / "out" / "ris.html").read_text(encoding="utf-8")
    for one in demo.result["reports"]:
        order = one["order"]
        (result,) = [message for message in order["results"] if message["type"] == "ORU^R01"]
        assert (result["status"], result["placer_number"]) == ("R", order["placer_number"])
        assert result["lines"][0] == labels.UNVERIFIED
        assert result["control_id"] in page
        assert order["placer_number"] in page
