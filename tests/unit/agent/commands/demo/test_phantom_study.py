"""Phantom studies are like those that a modality sends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from agent.commands.demo.patients import NAMES
from agent.commands.demo.phantom_study import PhantomStudy, phantom_study
from agent.objects.films.choosing.view import view_of
from agent.objects.pixels import load_header, load_image
from model.findings.types import Presence
from model.phantom import draw_spec, render
from model.phantom.spec import PHANTOM_CONCEPTS

TAKEN = datetime(2026, 3, 4, 5, 6, 7)
SIZE = 128


def study_with(view_count: int, photometric: str) -> PhantomStudy:
    """Return the first study with this number of views and this photometric interpretation."""
    for seed in range(200):
        spec = draw_spec(seed)
        if len(spec.views) == view_count and spec.photometric == photometric:
            return phantom_study(seed, number=seed, taken=TAKEN, size=SIZE)
    raise AssertionError("no phantom of 200 is like that")


def save(dataset: Dataset, path: Path) -> Path:
    """Write a dataset as a Part 10 file."""
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_phantom_objects_conform_to_their_iod(
    number: int, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """dciodvfy finds no error, whatever the character set."""
    study = phantom_study(number, number=number, taken=TAKEN, size=SIZE)
    for index, dataset in enumerate(study.instances):
        path = save(dataset, tmp_path / f"{index}.dcm")
        done = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, text=True)
        assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_phantom_names_survive_their_character_set(number: int, tmp_path: Path) -> None:
    """Each name can be written in its character set and read back."""
    study = phantom_study(number, number=number, taken=TAKEN, size=SIZE)
    path = save(study.instances[0], tmp_path / "x.dcm")
    assert str(dcmread(path).PatientName) == NAMES[number].name


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_phantom_pixels_come_back_as_they_were_drawn(photometric: str, tmp_path: Path) -> None:
    """With either photometric interpretation, the agent reads the film with dense regions bright."""
    study = study_with(2, photometric)
    for dataset, view in zip(study.instances, ("frontal", "lateral"), strict=True):
        path = save(dataset, tmp_path / f"{view}.dcm")
        seen = load_image(path, view_of(load_header(path)))
        drawn = render(draw_spec(study.seed), view, SIZE)
        assert seen.view == view
        assert np.corrcoef(seen.pixels.ravel(), drawn.ravel())[0, 1] > 0.99


def test_phantom_truth_says_present_or_absent_of_every_concept() -> None:
    """The truth states each concept as present or absent, so that a missed finding can be recognised."""
    study = phantom_study(3, number=0, taken=TAKEN, size=SIZE)
    stated = {one.concept for one in study.truth if one.presence is not Presence.INDETERMINATE}
    assert set(PHANTOM_CONCEPTS) <= stated


def test_phantom_uids_follow_from_seed_and_time() -> None:
    """The same demo run makes the same UIDs; a later run makes different ones."""
    first, again = (phantom_study(1, number=0, taken=TAKEN, size=64) for _ in range(2))
    later = phantom_study(1, number=0, taken=TAKEN.replace(hour=6), size=64)
    assert first.study_instance_uid == again.study_instance_uid
    assert first.study_instance_uid != later.study_instance_uid
    assert len(first.study_instance_uid) <= 64
