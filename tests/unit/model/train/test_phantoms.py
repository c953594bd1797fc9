"""Phantoms as training examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.train import phantoms
from model.train.config import PhantomData
from model.train.phantoms import render_phantoms


def test_rendering_says_how_far_it_is_and_says_nothing_where_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set takes minutes to render: messages report the progress, the last one with the last file."""
    monkeypatch.setattr(phantoms, "CHUNK", 2)
    monkeypatch.setattr(phantoms, "_SAY_EVERY", 2)
    data = PhantomData(first_seed=4, count=6, image_size=28)
    said: list[str] = []
    assert len(render_phantoms(data, tmp_path, processes=1, say=said.append)) == 6
    assert said == ["4 of 6 rendered", "6 of 6 rendered"]
    render_phantoms(data, tmp_path, processes=1, say=said.append)
    assert len(said) == 2
