"""docs/training.md: each of its commands runs, in order, on a tiny base with the published layout."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

import agent.commands.cli
import model.commands.cli
from model.errors import ModelError
from model.reporting.reporter import Reporter, ReporterImage
from tests.support.films import chest_film, file_bytes
from tests.support.published_base import REPORTS, write_base
from tests.support.warm_python import warm_run

_APPS = {"echo-model": model.commands.cli.app, "echo-agent": agent.commands.cli.app}
STEP = {"steps": 1, "batch": 2, "micro_batch": 1, "warmup": 0, "validation_examples": 1}


def commands_of(page: Path) -> list[str]:
    """The lines of the page's fenced blocks of commands; a block with a language shows output."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line for kind, block in blocks if not kind for line in block.splitlines() if line.strip()]


def write_mimic(folder: Path) -> None:
    """Write four studies of two patients in the layout of MIMIC-CXR-JPG, with their reports."""
    rng = np.random.default_rng(4)
    rows = []
    for number in range(6):
        patient, study, image = f"1000000{number % 2}", f"5000000{number}", f"{number:08x}-aa"
        place = folder / "files" / "p10" / f"p{patient}"
        (place / f"s{study}").mkdir(parents=True)
        pixels = rng.integers(0, 256, (70, 60), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"s{study}" / f"{image}.jpg")
        text = REPORTS[number % 3].replace("Impression:", "\n\nIMPRESSION:").replace("Findings:", "FINDINGS:")
        (place / f"s{study}.txt").write_text(f"FINAL REPORT\n INDICATION: Cough.\n\n{text}\n")
        split = ("train", "train", "train", "train", "validate", "test")[number]
        rows.append((image, patient, study, "PA", f"2180010{number + 1}", "120000.5", split))
    names = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime", "split")
    for table, columns in (
        ("metadata", names[:6]),
        ("split", ("dicom_id", "study_id", "subject_id", "split")),
    ):
        with gzip.open(folder / f"mimic-cxr-2.0.0-{table}.csv.gz", "wt", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(dict(zip(names, row, strict=True)) for row in rows)


def write_archive(folder: Path) -> None:
    """Write one DICOM study, its report, and a file that is not an image."""
    folder.mkdir()
    (folder / "one.dcm").write_bytes(file_bytes(chest_film()))
    (folder / "notes.txt").write_text("nothing")
    Path("reports.csv").write_text(
        'study_instance_uid,text\n1.2.3,"FINDINGS: No mass.\nIMPRESSION: Normal."\n'
    )


def shrink(recipe: Path) -> None:
    """Edit steps and batches, as the page tells the user to do."""
    loaded = yaml.safe_load(recipe.read_text())
    for stage in ("ar", "rad", "dcd"):
        loaded[stage] |= STEP
    loaded["rollout"] |= {"examples": 4, "batch": 2, "legal_only": False}
    loaded |= {
        "workers": 1,
        "name": recipe.stem,
        "run": f"runs/{'my-echo' if recipe.stem == 'recipe' else recipe.stem}",
    }
    recipe.write_text(yaml.safe_dump(loaded))


def shorten(checkpoint: Path) -> None:
    """Allow only short reports: an untrained network writes until the last token."""
    file = checkpoint / "echo_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_tokens": 64}))


def run(line: str, environment: Mapping[str, str]) -> str:
    """Run one command as it stands on the page; return its output."""
    words = shlex.split(os.path.expandvars(line))
    if words[0] in _APPS:
        result = CliRunner().invoke(_APPS[words[0]], words[1:])
        if isinstance(result.exception, ModelError):
            raise result.exception
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        return result.output
    assert words[0] == "torchrun"
    launcher = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
    done = warm_run(launcher, text=True, timeout=250, env=dict(environment))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.acceptance
@pytest.mark.timeout(600)
def test_every_command_of_the_training_page_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented commands alone lead from a base and a data set to a served one-step checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(repository))
    torch.set_num_threads(1)
    write_base(tmp_path / "base")
    write_mimic(tmp_path / "mimic")
    write_archive(tmp_path / "archive")
    (tmp_path / "config.yaml").write_text((repository / "config.yaml").read_text())
    printed: dict[str, str] = {}
    for line in commands_of(repository / "docs" / "training.md"):
        printed[line] = run(line, os.environ)
        if line.startswith("echo-model init"):
            shorten(Path(shlex.split(line)[2]))
        if line.startswith("echo-model recipe"):
            shrink(Path(shlex.split(line)[-1]))

    first = json.loads(Path("own/train.jsonl").read_text().splitlines()[0])
    assert (first["findings"], first["impression"]) == ("No mass.", "Normal.")
    assert any("priors" in json.loads(line) for line in Path("train.jsonl").read_text().splitlines())
    reporter = Reporter.load(Path("runs/my-echo/dcd"), "cpu")
    draft = reporter.draft([ReporterImage(pixels=np.zeros((60, 50), dtype=np.uint8), view="frontal")])
    assert (reporter.identity.stage, reporter.identity.licence) == ("echo", "Apache-2.0")
    assert draft.blocks > 0
