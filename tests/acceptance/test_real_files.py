"""Real films and odd objects through the whole chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Run

ENDED_WELL = {"DELIVERED", "SKIPPED"}


def test_real_chest_films_end_in_orthanc_or_skipped_with_the_rule(
    echo_agent: Callable[..., Run], checkpoint: Path, shared_data: Path, program: Callable[[str], str]
) -> None:
    """JPEG 2000 MONOCHROME1 CR, JPEG-baseline Secondary Capture, Implicit VR DX: each ends and says why."""
    program("Orthanc")
    folder = str(shared_data / "01_cxr_dicom")
    done = echo_agent(
        "demo", "--input", folder, "--pacs", "orthanc", "--json", "--checkpoint", str(checkpoint)
    )
    result = done.result
    assert (result["studies"], result["failed"]) == (3, 0)
    for report in result["reports"]:
        assert report["state"] in ENDED_WELL
        if report["state"] == "SKIPPED":
            assert report["code"]
        else:
            # Read back from Orthanc by the study's UID: both documents are in the right study.
            assert len(report["sr"]) == 2


@pytest.mark.parametrize("name", ["02_xray_not_chest", "04_odd"])
def test_what_is_no_chest_film_is_never_drafted(
    name: str, echo_agent: Callable[..., Run], checkpoint: Path, shared_data: Path
) -> None:
    """No draft, no crash, and every file is accounted for: as a study, or as an object not accepted."""
    folder = shared_data / name
    done = echo_agent("demo", "--input", str(folder), "--json", "--checkpoint", str(checkpoint))
    result = done.result
    assert result["delivered"] == 0
    for report in result["reports"]:
        assert (report["text"], report["state"] in ("SKIPPED", "FAILED")) == ("", True)
        assert report["code"]
    objects = result["objects"]
    assert objects["sent"] == len(list(folder.iterdir()))
    assert objects["sent"] == objects["accepted"] + len(objects["not_accepted"])
    assert all(one["reason"] for one in objects["not_accepted"])
