"""`echo-agent model` and `echo-agent shadow`: what they refuse, and what they write."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import model
from agent.database.session import Database
from agent.database.tables import ChallengerComparison, ChallengerDraft, ModelSwitch, ShadowComparison
from tests.unit.agent.commands.conftest import Run
from tests.unit.agent.rows import add_draft, add_job, add_study

AT = datetime(2026, 10, 5, 12, tzinfo=UTC)
RIGHT, WRONG = [["present", "", ""], ["present", "", ""]], [["", "", ""], ["present", "", ""]]


@pytest.fixture
def checkpoints(config: Path, tmp_path: Path) -> dict[str, str]:
    """Two configured checkpoints that load, with different weights; returns their folders by role."""
    folders = {}
    demo = Path(model.__path__[0]) / "demo_checkpoint"
    for place, change in (("main", 0.0), ("challenger", 1.0)):
        folder = tmp_path / place
        folder.mkdir()
        for name in ("config.json", "echo_config.json", "tokenizer.json"):
            shutil.copy(demo / name, folder)
        tensors = load_file(demo / "model.safetensors")
        first = next(iter(tensors))
        save_file({**tensors, first: tensors[first] + change}, folder / "model.safetensors")
        folders[place] = str(folder)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"model: {{checkpoint: {folders['main']}}}\n")
        file.write(f"shadow: {{challenger: {{checkpoint: {folders['challenger']}, minimum_studies: 20}}}}\n")
    return folders


def digests(run: Run) -> dict[str, str]:
    found: dict[str, str] = json.loads(run("model", "show", "--json").stdout)["checkpoints"]
    return found


def compared(database: Database, digest: dict[str, str], count: int, *, challenger_right: int) -> None:
    """Studies with a signed mass, which the main model always finds and the challenger in some."""
    from agent.shadow.signed import SignedText, enter

    with database.transaction() as session:
        for number in range(count):
            study = add_study(session, f"1.2.{number}", at=AT)
            job = add_job(session, study, "DRAFTED", at=AT)
            draft = add_draft(session, job, at=AT, stored_after_s=1)
            draft.model_digest = digest["main"]
            signed = SignedText(
                source="csv", key=str(number), text="Mass.", signed_at=AT, study_instance_uid=f"1.2.{number}"
            )
            enter(session, signed, AT)
            session.add(
                ShadowComparison(
                    draft_id=draft.id,
                    study_id=study.id,
                    report_id=number + 1,
                    model_digest=digest["main"],
                    drafted_at=AT,
                    pairs={"mass": RIGHT},
                    disagreements=0,
                    compared_at=AT,
                )
            )
            second = ChallengerDraft(
                study_id=study.id,
                job_id=job.id,
                revision=1,
                model_digest=digest["challenger"],
                state="drafted",
                content={},
                created_at=AT,
                drafted_at=AT,
            )
            session.add(second)
            session.flush()
            session.add(
                ChallengerComparison(
                    challenger_id=second.id,
                    study_id=study.id,
                    model_digest=digest["challenger"],
                    drafted_at=AT,
                    pairs={"mass": RIGHT if number < challenger_right else WRONG},
                )
            )


@pytest.mark.parametrize(
    ("count", "right", "words"),
    [(19, 19, "drafted 19 studies"), (40, 20, "worse in mass"), (0, 0, "drafted 0 studies")],
)
def test_switch_is_refused_without_a_good_paired_comparison(
    run: Run, database: Database, checkpoints: dict[str, str], count: int, right: int, words: str
) -> None:
    """The reason is shown, nothing is written, and `compare` exits with 1."""
    compared(database, digests(run), count, challenger_right=right)
    result = run("model", "switch", "--reason", "newer")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "[model-switch-refused]" in result.stderr
    assert run("model", "compare").exit_code == 1
    assert json.loads(run("model", "show", "--json").stdout)["switches"] == []


def test_switch_and_the_way_back_are_shown_with_who_and_why(
    run: Run, database: Database, checkpoints: dict[str, str]
) -> None:
    """The challenger takes over; switching back needs only a reason; a second switch is refused."""
    digest = digests(run)
    compared(database, digest, 20, challenger_right=19)
    assert run("model", "compare").exit_code == 0
    assert run("model", "back", "--reason", "x").exit_code == 2
    assert run("model", "switch", "--reason", "  ").exit_code == 2
    assert run("model", "switch", "--reason", "finds more nodules").exit_code == 0
    assert json.loads(run("model", "show", "--json").stdout)["drafts"] == "challenger"
    assert "drafts already" in run("model", "switch", "--reason", "again").stderr
    assert run("model", "back", "--reason", "too many alarms").exit_code == 0
    shown = run("model", "show").stdout
    assert "to challenger by cli:" in shown
    assert "after 20 studies of both: finds more nodules" in shown
    assert "too many alarms" in shown
    with database.reading() as session:
        rows = session.query(ModelSwitch).order_by(ModelSwitch.id).all()
    assert [(one.from_digest, one.to_digest) for one in rows] == [
        (digest["main"], digest["challenger"]),
        (digest["challenger"], digest["main"]),
    ]


def test_model_commands_without_a_usable_challenger_say_so(
    run: Run, database: Database, config: Path, checkpoints: dict[str, str]
) -> None:
    """A checkpoint without weights is reported, as is a missing challenger."""
    (Path(checkpoints["challenger"]) / "model.safetensors").unlink()
    assert "the challenger checkpoint cannot be used" in run("model", "compare").stderr
    config.write_text(config.read_text(encoding="utf-8").split("shadow:")[0], encoding="utf-8")
    assert "there is no challenger" in run("model", "switch", "--reason", "x").stderr


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "echo_config.json"])
def test_challenger_that_no_worker_could_load_does_not_take_over(
    run: Run, database: Database, checkpoints: dict[str, str], missing: str
) -> None:
    """The main model stays in use if the challenger has the compared weights but lacks another file."""
    compared(database, digests(run), 20, challenger_right=20)
    (Path(checkpoints["challenger"]) / missing).unlink()
    result = run("model", "switch", "--reason", "newer")
    assert result.exit_code == 2
    assert "the challenger checkpoint does not load" in result.stderr
    assert json.loads(run("model", "show", "--json").stdout)["drafts"] == "main"


@pytest.mark.parametrize("damage", ["gone", "cut off", "other weights"])
def test_damaged_challenger_does_not_take_over(
    run: Run, database: Database, checkpoints: dict[str, str], damage: str
) -> None:
    """Weights other than those compared have no comparison; an invalid checkpoint is reported."""
    compared(database, digests(run), 20, challenger_right=20)
    weights = Path(checkpoints["challenger"]) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "gone":
        shutil.rmtree(checkpoints["challenger"])
    elif damage == "cut off":
        weights.write_bytes(content[: len(content) // 2])
    else:
        content[-3] ^= 1
        weights.write_bytes(content)
    result = run("model", "switch", "--reason", "newer")
    assert result.exit_code == 2
    words = "drafted 0 studies" if damage == "other weights" else "the challenger checkpoint cannot be used"
    assert words in result.stderr
    assert json.loads(run("model", "show", "--json").stdout)["switches"] == []


def test_way_back_is_open_when_the_challenger_is_gone_after_the_switch(
    run: Run, database: Database, checkpoints: dict[str, str]
) -> None:
    """`show` says which checkpoint should draft but cannot, and `back` needs only the main one."""
    compared(database, digests(run), 20, challenger_right=20)
    assert run("model", "switch", "--reason", "newer").exit_code == 0
    shutil.rmtree(checkpoints["challenger"])
    shown = run("model", "show")
    assert shown.exit_code == 0
    assert "the challenger checkpoint cannot be used" in shown.stdout
    assert "although it is to draft" in shown.stdout
    assert run("model", "back", "--reason", "its disk is gone").exit_code == 0
    assert json.loads(run("model", "show", "--json").stdout)["drafts"] == "main"


@pytest.mark.parametrize("name", ["report.pdf", "report.html"])
def test_report_is_written_and_a_wrong_month_or_file_is_not(
    run: Run, database: Database, tmp_path: Path, name: str
) -> None:
    """The file name decides between PDF and HTML."""
    out = tmp_path / name
    assert run("shadow", "report", "--month", "2026-10", "--out", str(out)).exit_code == 0
    assert out.read_bytes()[:5] in (b"%PDF-", b"<!doc")
    assert run("shadow", "report", "--month", "October", "--out", str(out)).exit_code == 2
    assert run("shadow", "report", "--month", "2026-10", "--out", str(tmp_path / "a.txt")).exit_code == 2
    assert run("shadow", "report", "--month", "2026-10", "--out", str(tmp_path / "no" / name)).exit_code == 2


def test_calibration_without_signed_reports_is_refused(run: Run, database: Database) -> None:
    """Without signed reports there is no model to calibrate."""
    result = run("shadow", "calibrate")
    assert (result.exit_code, "[not-found]" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("agreement", "--model", "0000"),
        ("drift", "--model", "0000"),
        ("calibrate", "--model", "0000"),
        ("models", "0000", "0000"),
    ],
)
def test_unknown_model_is_an_error_and_not_an_empty_result(
    run: Run, database: Database, words: tuple[str, ...]
) -> None:
    """A mistyped digest must not look like a model without disagreement; the known ones are named."""
    compared(database, {"main": "abcd" * 16, "challenger": "abce" * 16}, 2, challenger_right=1)
    result = run("shadow", *words)
    assert (result.exit_code, "[not-found]" in result.stderr) == (2, True)
    assert "abcdabcdabcdabcd, abceabceabceabce" in result.stderr


def test_models_are_compared_only_if_each_is_named_clearly(run: Run, database: Database) -> None:
    """A beginning that two digests share would mix their drafts; a model is not compared with itself."""
    compared(database, {"main": "abcd" * 16, "challenger": "abce" * 16}, 4, challenger_right=1)
    assert "more than one model's" in run("shadow", "models", "abc", "abce").stderr
    assert "both are the same model" in run("shadow", "models", "ABCD", "abcda").stderr
    (found,) = json.loads(run("shadow", "models", "abcd", "abce", "--json").stdout)
    assert (found["both_right"], found["only_first"]) == (1, 3)


def test_unknown_finding_is_an_error_and_not_an_empty_list(run: Run, database: Database) -> None:
    """`no disagreement` for a mistyped finding would be read as a result."""
    result = run("shadow", "disagreements", "--concept", "Pneumotorax")
    assert (result.exit_code, "did you mean `pneumothorax`?" in result.stderr) == (2, True)
    assert "no disagreement" in run("shadow", "disagreements", "--concept", "pneumothorax").stdout
