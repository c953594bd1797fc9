"""Real films and odd objects through the whole chain."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.acceptance.conftest import Run
from tests.support.warm_python import warm_run

CHEST = "01_cxr_dicom"
OTHERS = ("02_xray_not_chest", "04_odd")
ENDED_WELL = {"DELIVERED", "SKIPPED"}
WITHIN_S = 560
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with folders of chest films and of other objects."""
    folder = tmp_path_factory.mktemp("files")
    for name in (CHEST, *OTHERS):
        shutil.copytree(shared_data / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def result(
    echo_agent: Callable[..., Run], checkpoint: Path, files: Path, program: Callable[[str], str]
) -> dict[str, Any]:
    """The demo's result for all files, sent to one agent with a real Orthanc as its PACS."""
    program("Orthanc")
    options = ("--input", str(files), "--pacs", "orthanc", "--json", "--checkpoint", str(checkpoint))
    done = echo_agent("demo", *options, within_s=WITHIN_S, run=warm_run)
    return {**done.result, "folder": done.folder}


@pytest.fixture(scope="module")
def chest_studies(files: Path) -> set[str]:
    """The studies with chest films."""
    return {
        str(dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in (files / CHEST).iterdir()
    }


def test_real_chest_films_end_in_orthanc_or_skipped_with_the_rule(
    result: dict[str, Any], chest_studies: set[str]
) -> None:
    """JPEG 2000 MONOCHROME1 CR, JPEG-baseline SC, Implicit VR DX: delivered, or skipped with a code."""
    reports = {one["study_instance_uid"]: one for one in result["reports"]}
    assert len(chest_studies) == 3
    for study in chest_studies:
        report = reports[study]
        assert report["state"] in ENDED_WELL
        if report["state"] == "SKIPPED":
            assert report["code"]
        else:
            # Read back from Orthanc.
            documents = [dcmread(result["folder"] / path) for path in report["sr"]]
            assert [str(one.StudyInstanceUID) for one in documents] == [study, study]


def test_what_is_no_chest_film_is_never_drafted(result: dict[str, Any], chest_studies: set[str]) -> None:
    """No draft, no crash, and a code that gives the reason."""
    others = [one for one in result["reports"] if one["study_instance_uid"] not in chest_studies]
    assert others != []
    for report in others:
        assert (report["text"], report["state"] in ("SKIPPED", "FAILED")) == ("", True)
        assert report["code"]


def test_every_file_is_accounted_for(result: dict[str, Any], files: Path) -> None:
    """Each file is an object of a study or is rejected with the reason."""
    objects = result["objects"]
    assert objects["sent"] == sum(path.is_file() for path in files.rglob("*"))
    assert objects["sent"] == objects["accepted"] + len(objects["not_accepted"])
    assert all(one["reason"] for one in objects["not_accepted"])
    refused = {one["object"].split("/")[0] for one in objects["not_accepted"]}
    assert refused <= set(OTHERS)
