"""YAML that people write: a key that stands twice is an error, in our files and a hospital's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import agent
import model
from agent.foundation.errors import SettingsError
from agent.objects.films.routing.vocabulary import load
from model.findings.errors import VocabularyError
from model.findings.vocabulary import load_vocabulary
from model.train.config import TrainingConfigError, load_training_config
from model.yaml_once import parse_yaml

SHIPPED = [file for package in (agent, model) for file in sorted(Path(package.__path__[0]).rglob("*.yaml"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_files_have_each_key_once(file: Path) -> None:
    """The vocabularies, language packs and recipes say everything once."""
    assert parse_yaml(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [("a: 1\nb: 2\na: 3\n", "a", (1, 3)), ("- x: {c: 1,\n    c: 2}\n", "c", (1, 2))],
)
def test_key_that_stands_twice_is_named_with_both_lines(text: str, key: str, lines: tuple[int, int]) -> None:
    """At any depth, although the library would take the last value."""
    assert yaml.safe_load(text)
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        parse_yaml(text)
    words = " ".join(str(caught.value).split())
    assert f"the key '{key}' is already in line {lines[0]}" in words
    assert f"line {lines[1]}, column" in words


@pytest.mark.parametrize(
    "text", ["", "a: &x {<<: {q: 1}, q: 2}\nb: *x\n", "1: a\n'1': b\n", "a: {c: 1}\nb: {c: 1}\n"]
)
def test_different_keys_are_no_error(text: str) -> None:
    """A merged key may be replaced, a number is no text, and each mapping has its own keys."""
    assert parse_yaml(text) == yaml.safe_load(text)


def test_mapping_that_contains_itself_is_read() -> None:
    """An alias to the mapping in which it stands does not keep the check busy for ever."""
    found = parse_yaml("&a {inner: *a}\n")
    assert found["inner"] is found


def test_files_of_a_hospital_and_recipes_are_refused_with_the_line(tmp_path: Path) -> None:
    """A second section would take the first one's words away."""
    file = tmp_path / "ours.yaml"
    file.write_text("version: 1\nconcepts: {mass: {synonyms: [lump]}}\nconcepts: {}\n", encoding="utf-8")
    words = "'concepts' is already in line 2"
    with pytest.raises(VocabularyError, match=words):
        load_vocabulary(file)
    with pytest.raises(TrainingConfigError, match=words):
        load_training_config(file)
    with pytest.raises(SettingsError, match=words):
        load(file, {})
