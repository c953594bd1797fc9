"""The commands: JSON lines in, JSON lines out, errors with line numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from model.commands.findings import evaluate_findings_command, findings_command, normalise_command

app = typer.Typer()
app.command("findings")(findings_command)
app.command("evaluate-findings")(evaluate_findings_command)
app.command("normalise")(normalise_command)
runner = CliRunner()


def test_findings_writes_one_line_for_each_report(tmp_path: Path) -> None:
    """Every concept is in one list, every finding has its sentence, classes omit what is not mentioned."""
    file = tmp_path / "reports.jsonl"
    file.write_text('{"id": "a", "text": "Small left effusion. No PTX."}\n\n{"id": 2, "text": ""}\n')
    result = runner.invoke(app, ["findings", str(file)])
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first == {
        "id": "a",
        "present": ["pleural_effusion"],
        "absent": ["pneumothorax"],
        "indeterminate": [],
        "findings": [
            {
                "concept": "pleural_effusion",
                "presence": "present",
                "laterality": "left",
                "location": None,
                "severity": "mild",
                "change": None,
                "evidence": "Small left effusion.",
                "span": [0, 20],
            },
            {
                "concept": "pneumothorax",
                "presence": "absent",
                "laterality": None,
                "location": None,
                "severity": None,
                "change": None,
                "evidence": "No PTX.",
                "span": [21, 28],
            },
        ],
        "classes": {"Pneumothorax": "absent", "Pleural Effusion": "present"},
        "language": "en",
        "refused": [],
    }
    assert second == {
        "id": 2,
        "present": [],
        "absent": [],
        "indeterminate": [],
        "findings": [],
        "classes": {},
        "language": "en",
        "refused": [],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": 1, "text": "a"}\nnonsense\n', "line 2: is not JSON"),
        (b'{"id": 1}\n', "line 1: `text` is missing"),
        (b"[1]\n", "line 1: must be a JSON object"),
        (b'\n\n{"id": 1, "text": "\xff"}\n', "line 3: is not UTF-8"),
        (b"[" * 100_000, "line 1: is not JSON"),
    ],
)
def test_findings_names_the_line_that_is_wrong(content: bytes, message: str) -> None:
    """An invalid line ends the command with its number and the error, without a traceback."""
    result = runner.invoke(app, ["findings", "-"], input=content)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_findings_names_a_missing_file(tmp_path: Path) -> None:
    """A missing file is reported in words."""
    result = runner.invoke(app, ["findings", str(tmp_path / "none")])
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


def test_evaluate_findings_ends_with_json(tmp_path: Path) -> None:
    """The last line holds the rates per concept and presence."""
    file = tmp_path / "gold.jsonl"
    gold = [
        {
            "id": 1,
            "text": "No effusion.",
            "findings": [{"concept": "pleural_effusion", "presence": "absent"}],
        },
        {"id": 2, "text": "Edema.", "findings": [{"concept": "pneumonia", "presence": "present"}]},
    ]
    file.write_text("\n".join(map(json.dumps, gold)))
    result = runner.invoke(app, ["evaluate-findings", str(file), "--json"])
    report = json.loads(result.stdout.splitlines()[-1])
    assert {(row["concept"], row["presence"]): row["f1"] for row in report["rows"]} == {
        ("pleural_effusion", "absent"): 1.0,
        ("pneumonia", "present"): 0.0,
        ("pulmonary_edema", "present"): 0.0,
    }
    assert (report["accuracy"], report["macro_f1"], report["wrong"]) == (0.5, 0.3333, ["2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello\n", "line 1: neither JSON lines"),
        ('{"text": "a"}', "line 1: `findings` must be a list"),
        ('{"text": "a", "findings": [{"concept": "x", "presence": "present"}]}', "'x' is not a concept"),
        (
            '{"text": "a", "findings": [{"concept": "mass", "presence": "maybe"}]}',
            "presence 'maybe' is none of",
        ),
        ("line\tConcept\tSentence\tNegation\n1\ta\tb\tperhaps\n", "line 2: negation status 'perhaps'"),
    ],
)
def test_evaluate_findings_names_what_is_wrong(content: str, message: str) -> None:
    """Invalid annotations are refused with their line."""
    result = runner.invoke(app, ["evaluate-findings", "-"], input=content)
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())


def test_normalise_keeps_other_fields_and_reports_what_it_added() -> None:
    """Training data are converted, and the share of added negatives is reported."""
    line = json.dumps({"id": 1, "images": ["a.png"], "text": "Edema."})
    result = runner.invoke(app, ["normalise", "-", "--policy", "state-normal"], input=line)
    record = json.loads(result.stdout)
    assert record["images"] == ["a.png"]
    assert record["impression"] == "Pulmonary edema."
    assert "pneumothorax" in record["added"]
    assert "added by the policy state-normal" in result.stderr


def test_normalise_needs_a_policy() -> None:
    """The meaning of silence has no default."""
    assert runner.invoke(app, ["normalise", "-"], input="").exit_code == 2


def test_findings_says_what_of_an_endless_text_was_not_read(tmp_path: Path) -> None:
    """A text too long for a report is read up to the limit, and what was not read is reported."""
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"id": 1, "text": "No effusion. " * 4000}) + "\n")
    result = runner.invoke(app, ["findings", str(file)])
    assert json.loads(result.stdout)["absent"] == ["pleural_effusion"]
    assert "long.jsonl:1: too long for one report; its last 12000 characters were not read" in result.stderr
