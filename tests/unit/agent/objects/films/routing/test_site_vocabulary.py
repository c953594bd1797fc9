"""A site's file of words: its exact structure, and its precedence."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.foundation.errors import SettingsError
from agent.objects.films.routing.vocabulary import BUILT_IN, load
from agent.objects.films.routing.vocabulary_file import parsed, problems_of_file
from model.yaml_once import parse_yaml


def site_file(tmp_path: Path, content: str) -> Path:
    """Write a site's file, with its version."""
    path = tmp_path / "site.yaml"
    path.write_text(f"version: 1\n{content}\n", encoding="utf-8")
    return path


def test_the_shipped_vocabulary_has_the_structure_that_a_site_must_keep() -> None:
    """It is itself an example of the format."""
    shipped = parsed(BUILT_IN, None)
    assert list(problems_of_file(parse_yaml(BUILT_IN.read_text(encoding="utf-8")), shipped)) == []


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("regions: {our: {chest: thxlat}}", "regions.our.chest must be a list"),
        ("regions: {chest: [thxlat]}", "regions.chest must hold keys"),
        ("regions: {our: {chest: {en: [thxlat]}}}", "regions.our.chest must be a list"),
        ("regions: {our: {brest: [thxlat]}}", "there is no regions.our.brest; in its place may be: abdomen,"),
        ("regions: {our: {chest: [[thxlat]]}}", "regions.our.chest must hold words only, not a list"),
        ("regions: {our: {chest: [12]}}", "regions.our.chest must hold words only: put quotation marks"),
        ("regions: {our: {chest: ['--']}}", "regions.our.chest has an entry without a letter"),
        ("nothing: xyz", "nothing must be a list"),
        ("neutral:", "neutral must be a list"),
        ("views: {lateral: }", "views.lateral must be a list"),
        ("views: {lat: [x]}", "there is no views.lat; in its place may be: frontal, lateral, special"),
        ("views: {frontal: [x]}", "views.frontal must hold keys with lists of words; the keys are: pa, ap"),
        ("views: {frontal: {front: [x]}}", "there is no views.frontal.front"),
        ("views: {special: {odd: [x]}}", "there is no views.special.odd"),
        ("copies: [x]", "copies must hold keys"),
        ("copies: {inverse: [x]}", "there is no copies.inverse"),
        ("region: {}", "there is no region; in its place may be: regions, views"),
    ],
)
def test_what_is_no_list_of_words_or_has_no_meaning_is_refused(
    tmp_path: Path, content: str, place: str
) -> None:
    """A text would be read letter by letter: a series "L" would be a chest film."""
    with pytest.raises(SettingsError) as caught:
        load(site_file(tmp_path, content), {})
    assert place in str(caught.value)


def test_each_problem_has_its_line(tmp_path: Path) -> None:
    """Nobody corrects a file with a run for each mistake."""
    with pytest.raises(SettingsError) as caught:
        load(site_file(tmp_path, "nothing: xyz\ncopies: [x]\nviews: {lat: [x]}"), {})
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"brest": ["x"]}, "there is no region 'brest'"),
        ({"chest": ["--"]}, "routing.words.chest has an entry"),
    ],
)
def test_words_in_the_settings_are_checked_too(words: dict[str, list[str]], said: str) -> None:
    """They are words by region, as in the file."""
    with pytest.raises(SettingsError, match=said):
        load(None, words)


def test_a_phrase_of_a_site_has_only_the_meaning_that_the_site_gives(tmp_path: Path) -> None:
    """In the file as in the settings; the settings outrank the file, and other phrases keep their meaning."""
    file = site_file(tmp_path, "regions: {our: {chest: [hemithorax, ribs]}}\nneutral: [clavicle]")
    assert load(None, {}).read("hemithorax").regions != {"chest"}
    assert load(None, {"chest": ["hemithorax"]}).read("hemithorax").regions == {"chest"}
    ours = load(file, {})
    assert ours.read("hemithorax").regions == {"chest"}
    assert ours.read("clavicle").regions == frozenset()
    assert ours.read("sternum").regions == {"sternum"}
    assert load(file, {"abdomen": ["ribs"]}).read("ribs").regions == {"abdomen"}


def test_a_phrase_with_two_meanings_in_one_file_keeps_both(tmp_path: Path) -> None:
    """A word may name a region and a view; the last line must not take the first away."""
    file = site_file(tmp_path, "regions: {our: {chest: [xyzzy]}}\nviews: {lateral: [xyzzy]}")
    reading = load(file, {}).read("xyzzy")
    assert (reading.regions, reading.views) == ({"chest"}, {"lateral"})
