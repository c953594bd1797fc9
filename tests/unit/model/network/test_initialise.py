"""Bases in the published layouts: prepared, inspected, loaded, and used for drafting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.commands.cli import app
from model.network.checkpoint import load_checkpoint
from model.network.config import BlockAnchor, SizePolicy, Stage
from model.network.initialise import Choices, InitError, initialise
from model.network.prompt import build_prompt
from model.reporting.reporter import Reporter, ReporterImage
from tests.support.published_base import write_base


@pytest.mark.parametrize("spare", [8, 0])
def test_an_autoregressive_base_becomes_ready(tmp_path: Path, spare: int) -> None:
    """Qwen2.5-VL and Lingshu: a mask token in a spare or new row, Qwen's turns, images in their own sizes."""
    base = write_base(tmp_path / "lingshu", spare_rows=spare)

    said = "\n".join(initialise(base, Choices(licence="Apache-2.0", max_pixels=28 * 28 * 20)))
    checkpoint = load_checkpoint(base)
    config = checkpoint.config
    draft = Reporter.load(base, "cpu").draft(
        [ReporterImage(pixels=np.zeros((90, 60), dtype=np.uint8), view="frontal")]
    )

    assert ("spare rows" in said) == bool(spare)
    assert ("grows by a row" in said) == (not spare)
    assert (config.stage, config.block_anchor) == (Stage.AR, BlockAnchor.RESPONSE)
    assert config.size_policy is SizePolicy.ASPECT
    assert "You are a helpful assistant." in checkpoint.tokenizer.decode(
        build_prompt(checkpoint.tokenizer, config, [np.zeros((56, 84), np.uint8)]).input_ids
    )
    assert draft.tokens > 0


def test_the_published_echo_is_served_unchanged(tmp_path: Path) -> None:
    """It keeps its mask token, bilingual prompt, pixel budget and sequence anchor; it loads and drafts."""
    base = write_base(tmp_path / "ECHO_block8", mask="<|MASK|>")
    tokenizer = (base / "tokenizer.json").read_bytes()
    weights = {path.name: path.read_bytes() for path in base.glob("*.safetensors")}

    initialise(base, Choices(licence="CC BY-NC-SA 4.0", max_tokens=24))
    config = load_checkpoint(base).config
    draft = Reporter.load(base, "cpu").draft(
        [ReporterImage(pixels=np.full((64, 80), 90, dtype=np.uint8), view="frontal")]
    )

    assert (config.stage, config.block_anchor) == (Stage.ECHO, BlockAnchor.SEQUENCE)
    assert (config.max_pixels, config.reads_context) == (2_250_000, False)
    assert {"en", "zh"} == set(config.instructions)
    assert config.prompt.instruction.startswith("Review this chest X-ray and write a report.")
    assert json.loads(tokenizer) == json.loads((base / "tokenizer.json").read_bytes())
    assert weights == {path.name: path.read_bytes() for path in base.glob("*.safetensors")}
    assert draft.tokens > 0


def test_nothing_is_changed_where_a_base_is_ready_already(tmp_path: Path) -> None:
    """A second `init` would overwrite what training has set."""
    base = write_base(tmp_path / "base")
    initialise(base, Choices(licence="x", block_size=4))
    before = {path.name: path.read_bytes() for path in base.iterdir()}

    with pytest.raises(InitError, match="nothing was changed"):
        initialise(base, Choices(licence="y"))

    assert before == {path.name: path.read_bytes() for path in base.iterdir()}


def test_a_directory_that_is_no_base_is_refused(tmp_path: Path) -> None:
    """A directory without a configuration is refused, and so is an invalid choice."""
    with pytest.raises(InitError, match=r"config\.json"):
        initialise(tmp_path, Choices(licence="x"))
    base = write_base(tmp_path / "base")
    with pytest.raises(InitError, match="language 'de'"):
        initialise(base, Choices(licence="x", language="de"))
    assert not (base / "echo_config.json").exists()


def test_inspect_exits_by_its_verdict(tmp_path: Path) -> None:
    """The exit status is 0 for a checkpoint that loads, 1 for one that does not."""
    base = write_base(tmp_path / "base")

    before = CliRunner().invoke(app, ["inspect", str(base)])
    initialise(base, Choices(licence="x"))
    after = CliRunner().invoke(app, ["inspect", str(base)])
    next(base.glob("*.safetensors")).unlink()
    broken = CliRunner().invoke(app, ["inspect", str(base)])

    assert [before.exit_code, after.exit_code, broken.exit_code] == [1, 0, 1]
