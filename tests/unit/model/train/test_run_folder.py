"""A stage's folder: one run at a time, the settings of its start, and a full disk."""

from __future__ import annotations

import errno
import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image

from model.network.checkpoint import load_checkpoint
from model.network.initialise import Choices, initialise
from model.train.config import RadConfig, TrainingConfig
from model.train.loop import Machine, train
from model.train.recipe import Recipe
from model.train.run_folder import (
    RunInUseError,
    RunSettingsError,
    RunStorageError,
    check_settings,
    keep_settings,
    storage_errors,
)
from model.train.stages import Materials, RadStage
from tests.support.published_base import write_base
from tests.support.warm_python import WarmPopen

STEP = {"steps": 1, "batch": 2, "rate": 1e-3, "warmup": 0, "validation_examples": 1, "freeze_vision": True}

HOLD = """
import sys
from pathlib import Path
from model.train.run_folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Ignore progress."""


@pytest.fixture
def content(tmp_path: Path) -> dict[str, object]:
    """A recipe on a tiny base and two studies."""
    initialise(write_base(tmp_path / "base"), Choices(licence="x", max_tokens=16, image_size=56))
    Image.fromarray(np.full((56, 56), 90, dtype=np.uint8)).save(tmp_path / "a.png")
    lines = [
        {"id": number, "images": ["a.png"], "findings": f"Study {number}.", "impression": "Normal."}
        for number in (1, 2)
    ]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"json_lines": {"file": str(data)}}
    return {
        "name": "x", "run": str(tmp_path / "runs" / "x"), "start": str(tmp_path / "base"), "features": "none",
        "workers": 1, "data": source, "validation": source, "ar": STEP, "rad": STEP,
        "rollout": {"examples": 2, "batch": 1, "legal_only": False}, "dcd": STEP,
    }  # fmt: skip


def _recipe(
    content: Mapping[str, object], said: list[Mapping[str, float | int | str]] | None = None
) -> Recipe:
    report = _ignore if said is None else said.append
    return Recipe(TrainingConfig.model_validate(content), clock=lambda: 0.0, report=report)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ar": {**STEP, "rate": 2e-3}}, r"ar\.rate 0\.001 -> 0\.002"),
        ({"seed": 9}, "seed 1 -> 9"),
        ({"precision": "bfloat16"}, "precision 'float32' -> 'bfloat16'"),
    ],
)
def test_a_finished_stage_is_not_passed_off_as_one_with_other_settings(
    content: dict[str, object], change: dict[str, object], named: str
) -> None:
    """A changed recipe is refused with each difference; changes that do not affect results are accepted."""
    folder = _recipe(content).run("ar")
    before = (folder / "model.safetensors").read_bytes()

    with pytest.raises(RunSettingsError, match=named):
        _recipe({**content, **change}).run("ar")
    _recipe({**content, "workers": 2, "ar": {**STEP, "micro_batch": 1, "save_every": 7}}).run("ar")

    assert (folder / "model.safetensors").read_bytes() == before


def test_an_interrupted_run_takes_another_rate_and_says_so(content: dict[str, object]) -> None:
    """After a diverged step the rate may be lowered; another batch or other studies would mix two runs."""
    folder = Path(str(content["run"])) / "ar"
    recipe = _recipe(content)
    settings = dict(_begun(recipe))
    said: list[Mapping[str, float | int | str]] = []

    with pytest.raises(RunSettingsError, match=r"an interrupted run with other settings: ar\.batch 2 -> 1"):
        _recipe({**content, "ar": {**STEP, "batch": 1}}).run("ar")
    data = Path(str(content["data"]["json_lines"]["file"]))  # type: ignore[index]
    kept = data.read_text()
    data.write_text(kept.replace("Study 2", "Study 3"))
    with pytest.raises(RunSettingsError, match="studies"):
        recipe.run("ar")
    data.write_text(kept)
    _recipe({**content, "ar": {**STEP, "rate": 1e-4}}, said).run("ar")

    assert {"ar": "continues with other settings: ar.rate 0.001 -> 0.0001"} in said
    assert json.loads((folder / "settings.json").read_text()) == {**settings, "ar.rate": 1e-4}


def _begun(recipe: Recipe) -> Mapping[str, object]:
    """Begin the stage `ar`, interrupt it before its first step, and return the stored settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "_run", lambda *_: None)
        folder = recipe.run("ar")
    noted: Mapping[str, object] = json.loads((folder / "settings.json").read_text())
    return noted


def test_a_rollout_is_of_the_studies_that_it_is_learnt_with(content: dict[str, object]) -> None:
    """If the data file changed between rollout and DCD, images would get the reports of other studies."""
    recipe = _recipe(content)
    for stage in ("ar", "rad", "rollout"):
        recipe.run(stage)
    data = Path(str(content["data"]["json_lines"]["file"]))  # type: ignore[index]
    data.write_text("".join(reversed(data.read_text().splitlines(keepends=True))))

    with pytest.raises(RunSettingsError, match="trajectories of other studies"):
        _recipe(content).run("dcd")


def test_two_runs_do_not_write_one_folder(content: dict[str, object]) -> None:
    """The second run ends at once without changing the folder; a killed run leaves no lock held."""
    folder = Path(str(content["run"])) / "ar"

    with WarmPopen([sys.executable, "-c", HOLD, str(folder)], stdin=PIPE, stdout=PIPE) as other:
        assert other.stdout.readline() == b"held\n"  # type: ignore[union-attr]
        with pytest.raises(RunInUseError, match="another run is writing"):
            _recipe(content).run("ar")
        other.kill()

    assert sorted(path.name for path in folder.iterdir()) == ["lock"]
    assert (_recipe(content).run("ar") / "done").exists()


@contextmanager
def _no_room(largest: int) -> Iterator[None]:
    """Limit the size of files that this process writes, like a full disk or a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_no_saved_state(
    make_materials: Callable[[], Materials], machine: Machine, tmp_path: Path
) -> None:
    """The previous state stays complete, and the run continues from there when there is space."""
    config = RadConfig(
        steps=3, batch=4, rate=1e-3, warmup=1, save_every=1, validate_every=3, validation_examples=1
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(RadStage(make_materials(), config), config, whole, machine=machine, report=_ignore)
    records: list[Mapping[str, float | int | str]] = []

    def fill(record: Mapping[str, float | int | str]) -> None:
        records.append(record)
        if record["step"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    with (
        _no_room(1 << 40),
        pytest.raises(RunStorageError, match="file too large"),
        storage_errors(broken),
    ):
        train(RadStage(make_materials(), config), config, broken, machine=machine, report=fill)
    assert json.loads((broken / "state" / "step.json").read_text()) == {"step": 1}
    train(RadStage(make_materials(), config), config, broken, machine=machine, report=_ignore)

    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, broken)]
    assert weights[0] == weights[1]
    assert not list(broken.glob("state*"))


def test_a_full_disk_at_the_end_leaves_no_finished_stage(content: dict[str, object]) -> None:
    """Incompletely written weights are not a checkpoint; the same command writes them later."""
    recipe = _recipe(content)
    with _no_room(8192), pytest.raises(RunStorageError, match="cannot be written"):
        recipe.run("ar")
    assert not recipe.done("ar")

    assert load_checkpoint(_recipe(content).run("ar")).config.name == "base"


def test_errors_of_reading_are_not_called_a_full_disk(tmp_path: Path) -> None:
    """An unreadable file elsewhere, or a missing file, keeps its own error."""
    for error in (
        PermissionError(errno.EACCES, "denied", "/other/file"),
        FileNotFoundError(errno.ENOENT, "gone", str(tmp_path / "x")),
    ):
        with pytest.raises(type(error)), storage_errors(tmp_path / "run"):
            raise error


def test_settings_of_older_folders_are_not_compared(tmp_path: Path) -> None:
    """A folder or setting from before settings were stored is accepted; a damaged file is an error."""
    assert check_settings(tmp_path, {"seed": 1}, finished=True) == ""
    keep_settings(tmp_path, {"seed": 1})
    assert check_settings(tmp_path, {"seed": 1, "new": 2}, finished=True) == ""

    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(RunSettingsError, match="is damaged"):
        check_settings(tmp_path, {"seed": 1}, finished=False)
