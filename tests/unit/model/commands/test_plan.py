"""`--plan` for the shape of a published base: the command prints what docs/training.md shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.commands.cli import app
from model.network.config import ModelConfig, SizePolicy, Stage
from model.train.config import TrainingConfigError
from tests.support.published_base import QWEN_7B

PLANS = {"h100": ("lora", []), "h200": ("full", ["--processes", "8"])}


def printed(page: Path, gpu: str) -> str:
    """The block below the line of the page that names a GPU."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"`--gpu {gpu}[^\n]*\n\n```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no plan for {gpu}"
    return found.group(1)


@pytest.mark.parametrize("gpu", PLANS)
def test_the_plans_in_the_page_are_what_the_command_prints(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    """For 7B, from the packaged recipe, without weights: LoRA on one GPU, all weights on eight."""
    monkeypatch.chdir(tmp_path)
    kind, more = PLANS[gpu]
    base = tmp_path / "base, of {mine}: #1"
    base.mkdir()
    config = ModelConfig(
        network=QWEN_7B, block_size=8, mask_token_id=151_669, eos_token_id=151_645, stage=Stage.AR,
        image_size=896, denoising_steps=8, size_policy=SizePolicy.ASPECT, max_pixels=1280 * 28 * 28,
        min_pixels=56 * 56, max_tokens=256,
    )  # fmt: skip
    (base / "config.json").write_text(json.dumps(QWEN_7B))
    (base / "echo_config.json").write_text(json.dumps(config.sidecar()))
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.jsonl").touch()
    recipe = ["recipe", kind, "--start", str(base), "--data", "a.jsonl", "--validation", "b.jsonl"]

    made = CliRunner().invoke(app, recipe)
    found = CliRunner().invoke(
        app, ["train", "all", "--config", "recipe.yaml", "--plan", "--gpu", gpu, *more]
    )

    assert (made.exit_code, found.exit_code) == (0, 0), found.output
    assert printed(repository / "docs" / "training.md", gpu) == found.output


def test_a_plan_for_files_that_are_not_there_names_each(tmp_path: Path) -> None:
    """Training would end with its first step, after a plan of a week."""
    recipe, there = tmp_path / "recipe.yaml", tmp_path / "there.jsonl"
    there.touch()
    recipe.write_text(
        f"name: x\nrun: y\nstart: base\ndata: {{json_lines: {{file: {tmp_path}/a.jsonl}}}}\n"
        f"distillation: {{json_lines: {{file: {there}}}}}\n"
        f"validation: {{json_lines: {{file: {tmp_path}/b.jsonl}}}}\ndcd: {{steps: 4, batch: 1, rate: 1}}\n"
    )
    with pytest.raises(TrainingConfigError) as caught:
        CliRunner().invoke(app, ["train", "all", "--config", str(recipe), "--plan"], catch_exceptions=False)
    assert f"data.json_lines.file: {tmp_path}/a.jsonl does not exist" in str(caught.value)
    assert f"validation.json_lines.file: {tmp_path}/b.jsonl does not exist" in str(caught.value)
    assert "there.jsonl" not in str(caught.value)
