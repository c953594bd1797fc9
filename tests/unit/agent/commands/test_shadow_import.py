"""`shadow import` says what in a file a hospital should look at."""

from __future__ import annotations

import json
from pathlib import Path

from agent.database.session import Database
from tests.unit.agent.commands.conftest import Run


def test_reports_that_only_their_order_decides_between_are_named(
    run: Run, database: Database, tmp_path: Path
) -> None:
    """Lines with the same time, or none, and different texts; no identifier and no text is printed."""
    file = tmp_path / "signed.csv"
    file.write_text(
        "study_instance_uid,accession_number,patient_id,text,signed_at\n"
        "1.2.3,,,Clear secret.,\n"
        "1.2.3,,,Mass.,\n"
        "1.2.4,,,Clear.,2026-01-01T10:00\n"
        "1.2.4,,,Mass.,2026-01-01T11:00\n"
        "1.2.5,,,Clear.,\n"
        "1.2.5,,,Clear.,\n"
        ",A1,P1,Clear.,2026-01-01\n"
        ",A1,P2,Mass.,2026-01-01\n"
        ",A1,P1,Mass.,2026-01-01\n",
        encoding="utf-8",
    )
    found = run("shadow", "import", str(file))
    assert found.exit_code == 0
    assert "2 studies have several reports of the same signed_at, or without one" in found.stdout
    assert [line for line in found.stdout.splitlines() if line.startswith("  lines")] == [
        "  lines 2, 3", "  lines 8, 10",
    ]  # fmt: skip
    assert not any(said in found.stdout for said in ("1.2.3", "A1", "P1", "secret"))
    assert json.loads(run("shadow", "import", str(file), "--json").stdout)["same_time"] == [[2, 3], [8, 10]]


def test_a_file_without_reports_says_so(run: Run, database: Database, tmp_path: Path) -> None:
    """An export that went wrong must not look like a day without reports."""
    file = tmp_path / "signed.csv"
    file.write_text("study_instance_uid,text\n\n", encoding="utf-8")
    found = run("shadow", "import", str(file))
    assert "signed.csv holds no reports" in found.stdout.replace("\n", "")
    assert "0 reports taken" not in found.stdout
