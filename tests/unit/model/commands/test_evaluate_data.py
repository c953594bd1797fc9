"""`echo-model evaluate --data`: a user's own studies, in one call, with the optional metrics named."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from model.commands.cli import app, main
from model.evaluate.extras import ExtraMetricError, extra_scores
from model.findings.errors import VocabularyError
from model.findings.vocabulary import put_in_force
from model.network.backbone import Backbone
from model.network.checkpoint import save_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.tokenizer import ReportTokenizer
from model.train.line_index import DataError
from tests.support import warm_python
from tests.support.extras import needs_package


@pytest.fixture
def checkpoint(
    tmp_path: Path,
    make_config: Callable[..., ModelConfig],
    make_backbone: Callable[[ModelConfig, int], Backbone],
    tokenizer: ReportTokenizer,
) -> Path:
    """A one-step network with random weights."""
    config = make_config(stage=Stage.ECHO, block_size=8, max_tokens=16, licence="MIT")
    save_checkpoint(tmp_path / "echo", make_backbone(config, 1), config, tokenizer)
    return tmp_path / "echo"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three studies: films of different sizes, 16 bits, two images, free wording."""
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 4096, (90, 60), dtype=np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray(rng.integers(0, 256, (50, 80), dtype=np.uint8)).save(tmp_path / "a.jpg")
    studies = [
        {"id": "one", "images": ["wide.png"], "findings": "Small left effusion.", "impression": "Effusion."},
        {"id": "two", "images": ["a.jpg", "wide.png"], "findings": "No mass.", "impression": "Normal."},
        {"id": "three", "images": ["a.jpg"], "findings": "", "impression": "Unauffälliger Befund."},
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(study, ensure_ascii=False) + "\n" for study in studies))
    return file


def test_own_studies_are_drafted_and_scored(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Every figure is reported, drafts are kept with their references, skipped metrics state the reason."""
    drafts = tmp_path / "drafts.jsonl"

    found = CliRunner().invoke(
        app,
        ["evaluate", str(checkpoint), "--data", str(data), "--batch", "2", "--output", str(drafts), "--json"],
    )

    assert found.exit_code == 0, found.output
    figures = json.loads(found.output.splitlines()[-1])
    assert figures["studies"] == 3
    assert {"macro F1", "ROUGE-L", "BLEU-1", "BLEU-4", "tokens per forward"} <= figures.keys()
    assert figures["by_concept"].keys() == {"no_finding", "pleural_effusion"}
    assert figures["skipped"].keys() == {"RaTEScore", "RadGraph-F1", "CheXbert-F1"}
    kept = [json.loads(line) for line in drafts.read_text(encoding="utf-8").splitlines()]
    assert [one["id"] for one in kept] == ["one", "two", "three"]
    assert kept[2]["reference"] == "Impression: Unauffälliger Befund."
    for name, option in (("RaTEScore", "--ratescore"), ("RadGraph-F1", "--radgraph")):
        assert f"{name}: skipped (no weights named: {option} PATH" in found.output


def test_evaluation_refuses_bad_lines_before_it_decodes(checkpoint: Path, data: Path) -> None:
    """A figure over some of the studies would be mistaken for one over all."""
    data.write_text(data.read_text(encoding="utf-8") + '{"id": "four"}\n', encoding="utf-8")

    found = CliRunner().invoke(app, ["evaluate", str(checkpoint), "--data", str(data)])

    assert isinstance(found.exception, DataError)
    assert "line 4: lacks 'images'" in str(found.exception)


@pytest.mark.parametrize("name", ["RaTEScore", "RadGraph-F1", "CheXbert-F1"])
def test_a_metric_without_weights_or_package_says_what_it_needs(tmp_path: Path, name: str) -> None:
    """Not requested: skipped with the reason. Requested: an error, because the named path is missing."""
    scores, skipped = extra_scores(["a"], ["b"], {name: None})
    assert (scores, list(skipped)) == ({}, [name])
    assert "with the package" in skipped[name]

    with pytest.raises(ExtraMetricError, match="is not there"):
        extra_scores(["a"], ["b"], {name: tmp_path / "none"})


def test_a_metric_runs_on_the_weights_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RadGraph's package gets the folder and both texts, and may not download anything."""
    called: list[object] = []

    class F1RadGraph:
        def __init__(self, **settings: object) -> None:
            called.append(settings["model_path"])

        def __call__(self, *, hyps: list[str], refs: list[str]) -> tuple[float, list[str]]:
            called.extend([hyps, refs])
            return 0.25, []

    package = ModuleType("radgraph")
    package.F1RadGraph = F1RadGraph  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "radgraph", package)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")

    scores, skipped = extra_scores(["drafted"], ["written"], {"RadGraph-F1": tmp_path})

    assert (scores, skipped) == ({"RadGraph-F1": 0.25}, {})
    assert called == [str(tmp_path), ["drafted"], ["written"]]
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.timeout(600)
def test_ray_engine_writes_the_same_drafts(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """With two workers on a local cluster the drafts are the same byte for byte, in the order of the file."""
    needs_package("ray")
    files = {engine: tmp_path / f"{engine}.jsonl" for engine in ("plain", "ray")}
    for engine, file in files.items():
        command = [sys.executable, "-m", "model.commands", "evaluate", str(checkpoint), "--data", str(data)]
        command += ["--batch", "1", "--threads", "1", "--output", str(file), "--engine", engine]
        # What Ray itself starts is not forked.
        environment = {name: value for name, value in os.environ.items() if name != warm_python.VARIABLE}
        done = warm_python.warm_run(command, text=True, timeout=580, env=environment)
        assert done.returncode == 0, done.stderr
    assert files["ray"].read_bytes() == files["plain"].read_bytes()
    assert len(files["plain"].read_text(encoding="utf-8").splitlines()) == 3


def test_drafts_go_into_a_folder_that_is_made(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """A missing folder for the drafts does not stop the evaluation."""
    drafts = tmp_path / "new" / "folder" / "drafts.jsonl"

    found = CliRunner().invoke(
        app, ["evaluate", str(checkpoint), "--data", str(data), "--studies", "1", "--output", str(drafts)]
    )

    assert found.exit_code == 0, found.output
    assert [json.loads(line)["id"] for line in drafts.read_text().splitlines()] == ["one"]


def test_an_output_that_cannot_be_written_ends_the_command_before_the_drafts(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A one-line error appears before the data are read: there are none here."""
    arguments = [
        "evaluate",
        str(checkpoint),
        "--data",
        str(tmp_path / "none.jsonl"),
        "--output",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", ["echo-model", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert f"file: {tmp_path}: " in capsys.readouterr().err


def test_a_metric_that_cannot_run_ends_the_command_before_the_drafts(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Missing weights are reported before the data are read: there are none here."""
    found = CliRunner().invoke(
        app,
        [
            "evaluate",
            str(checkpoint),
            "--data",
            str(tmp_path / "none.jsonl"),
            "--chexbert",
            str(tmp_path / "w"),
        ],
    )

    assert isinstance(found.exception, ExtraMetricError)


@pytest.mark.parametrize("studies", ["0", "-1"])
def test_no_studies_are_a_mistake_in_the_call(checkpoint: Path, data: Path, studies: str) -> None:
    """A number of studies below one is a usage error."""
    found = CliRunner().invoke(app, ["evaluate", str(checkpoint), "--data", str(data), "--studies", studies])

    assert found.exit_code == 2


def test_a_hospitals_words_count_in_the_scores(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """A finding that only the hospital's vocabulary knows is scored; a wrong file ends the command early."""
    ours = tmp_path / "ours.yaml"
    ours.write_text(
        'version: ward-3\nconcepts: {scoliosis: {chexpert: null, region: bones, code: [SCT, "298382003", '
        "Scoliosis], site: chest}}\n",
        encoding="utf-8",
    )
    with data.open("a", encoding="utf-8") as file:
        study = {"id": "four", "images": ["a.jpg"], "findings": "Scoliosis.", "impression": ""}
        file.write(json.dumps(study) + "\n")

    def concepts(*options: str) -> set[str]:
        command = ["evaluate", str(checkpoint), "--data", str(data), "--json", *options]
        found = CliRunner().invoke(app, command, catch_exceptions=False)
        return set(json.loads(found.output.splitlines()[-1])["by_concept"])

    try:
        assert concepts("--vocabulary", str(ours)) - concepts() == {"scoliosis"}
        ours.write_text("concepts: []\n", encoding="utf-8")
        with pytest.raises(VocabularyError):
            concepts("--vocabulary", str(ours))
    finally:
        put_in_force(None)


@pytest.mark.parametrize("command", ["table", "word-order", "evaluate"])
def test_commands_that_read_findings_refuse_a_wrong_vocabulary(command: str, tmp_path: Path) -> None:
    """It is read before anything is measured or learned."""
    ours, texts = tmp_path / "ours.yaml", tmp_path / "texts.jsonl"
    ours.write_text("concepts: []\n", encoding="utf-8")
    texts.write_text('{"text": "No effusion."}\n', encoding="utf-8")
    rest = {
        "table": ["--seeds", str(tmp_path)],
        "word-order": [str(texts), "--checkpoint", str(tmp_path)],
        "evaluate": [str(tmp_path), "--data", str(texts)],
    }
    with pytest.raises(VocabularyError):
        CliRunner().invoke(app, [command, *rest[command], "--vocabulary", str(ours)], catch_exceptions=False)
