"""Checks a configuration as a whole: the file, the environment, and how the settings fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commands.configuration.findings import findings
from agent.foundation.errors import SettingsError
from agent.foundation.settings.load import load_settings
from agent.foundation.settings.shape import shown_place
from agent.foundation.settings.tree import Settings
from agent.foundation.settings.yaml_file import read_yaml
from agent.objects.films.routing.rules import router_of

if TYPE_CHECKING:
    from model.findings.vocabulary import Vocabulary


def check(config: Path | None, *, strict: bool = False) -> Settings:
    """Return the settings from a file and the environment, if the service may start with them.

    strict: also refuse what a person should correct although the service can start with it.

    Raises:
        SettingsError: something is wrong; each problem is listed with its place in the file and its remedy.
    """
    settings = load_settings(config)
    _use_routing(settings, config)
    vocabulary = _vocabulary(settings.findings.vocabulary, config)
    found = [one for one in findings(settings, config, vocabulary) if strict or one.stops]
    if found:
        lines = _lines(config)
        where = config or "the settings"
        listed = "".join(f"\n  {one.line(lines)}" for one in found)
        raise SettingsError(f"{where}: correct these settings:{listed}")
    _use(vocabulary)
    return settings


def _use_routing(settings: Settings, config: Path | None) -> None:
    """Build the router, so that an unusable vocabulary is reported with its file and line."""
    try:
        router_of(settings)
    except SettingsError as error:
        where, line = _place("routing.vocabulary", config)
        raise SettingsError(f"{where}{line}: {error}") from error


def _vocabulary(file: Path | None, config: Path | None) -> Vocabulary:
    """Read a hospital's vocabulary for findings, or the shipped one; it must be valid."""
    from model.findings.errors import VocabularyError
    from model.findings.vocabulary import read_vocabulary

    try:
        return read_vocabulary(file)
    except VocabularyError as error:
        where, line = _place("findings.vocabulary", config)
        raise SettingsError(f"{where}: correct findings.vocabulary{line}: {error}") from error


def _use(vocabulary: Vocabulary) -> None:
    """Read texts with this vocabulary from here on; nothing else is wrong, so that no reload is refused."""
    from model.findings.vocabulary import put_in_force

    put_in_force(vocabulary)


def _lines(config: Path | None) -> Mapping[str, int]:
    if config is None:
        return {}
    return {shown_place(place): line for place, line in read_yaml(config).lines.items() if place}


def _place(key: str, config: Path | None) -> tuple[str, str]:
    """Return the file, and the line of a key in it: " (line 7)", or nothing if it is not there."""
    line = _lines(config).get(key)
    return str(config or "the settings"), "" if line is None else f" (line {line})"
