"""Two more independent checks of document A: PixelMed's template validator and dcmqi's TID 1500 reader.

PixelMed takes ten seconds of a processor for a document, so it sees one draft.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_sr.document import Algorithm, DraftContent, SourceStudy, build_draft, build_rejection, encode
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from tests.conftest import skip_or_fail
from tests.integration.dicom_sr.conftest import CREATED
from tests.support.films import chest_film

pytestmark = pytest.mark.integration

PIXELMED = Path("/usr/share/java/pixelmed.jar")
# JDK 17 limits XPath expressions below what the validator's style sheets need.
EXTENDED = 'Code (30745-4,LN,"XR Chest Views") not found in context group 100'
LIMITS = ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")

CONTENT = DraftContent(
    findings=(
        Finding(
            concept="pleural_effusion",
            presence=Presence.PRESENT,
            laterality=Laterality.LEFT,
            location="lower_zone",
            severity=Severity.MILD,
            change=Change.NEW,
            evidence="New small left effusion.",
        ),
        Finding(concept="pneumothorax", presence=Presence.ABSENT, evidence="No pneumothorax."),
    ),
    findings_sentences=("New small left effusion.", "No pneumothorax."),
    impression_sentences=("Small left effusion.",),
)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Document A of a draft and of a failed study."""
    folder = tmp_path_factory.mktemp("documents")
    algorithm = Algorithm(
        name="ECHO", version="1", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=False
    )
    study = SourceStudy(images=[chest_film(SOPInstanceUID=f"1.2.3.1.{number}") for number in (1, 2)])
    pairs = {
        "draft": build_draft(study, CONTENT, algorithm, revision=1, created=CREATED),
        "failed": build_rejection(study, "damaged", "failed", algorithm, revision=1, created=CREATED),
    }
    for name, pair in pairs.items():
        (folder / f"{name}.dcm").write_bytes(encode(pair.findings))
    return {name: folder / f"{name}.dcm" for name in pairs}


def test_pixelmed_finds_no_error(documents: dict[str, Path], program: Callable[[str], str]) -> None:
    """Document A conforms to TID 1500, 1501 and what they include; extensions are only warnings."""
    if not PIXELMED.is_file():
        skip_or_fail("PixelMed is not installed: Debian package libpixelmed-java")
    done = subprocess.run(
        [
            program("java"),
            "-XX:TieredStopAtLevel=1",
            *(f"-Djdk.xml.{limit}=0" for limit in LIMITS),
            "-cp",
            f"{PIXELMED}:{PIXELMED.parent}/*",
            "com.pixelmed.validate.DicomSRValidator",
            str(documents["draft"]),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "IOD validation complete" in said
    errors = [line for line in said.splitlines() if line.startswith("Error")]
    # Context group 100 is a baseline (BCID), which may be extended; IHE AIR requires the code for the chest.
    assert [line for line in errors if not line.endswith(EXTENDED)] == []


@pytest.mark.parametrize(("name", "count"), [("draft", 2), ("failed", 0)])
def test_dcmqi_reads_the_measurement_groups(
    documents: dict[str, Path], tmp_path: Path, name: str, count: int
) -> None:
    """An independent reader finds one group for each assessed finding and none for a failed study."""
    reader = Path(sys.executable).parent / "tid1500reader"
    if not reader.is_file():
        skip_or_fail("dcmqi is not installed: `make setup` installs it")
    output = tmp_path / "read.json"
    subprocess.run(
        [str(reader), "--inputDICOM", str(documents[name]), "--outputMetadata", str(output)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    read = json.loads(output.read_text(encoding="utf-8"))
    assert len(read["Measurements"]) == count
    assert read["VerificationFlag"] == "UNVERIFIED"
    if count:
        present = [group["Finding"]["CodeValue"] for group in read["Measurements"] if "Finding" in group]
        assert present == ["60046008"]
        assert read["Measurements"][0]["Laterality"]["CodeValue"] == "7771000"
