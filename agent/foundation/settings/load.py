"""Reads the configuration file and the environment into settings, or reports everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings.exceptions import SettingsError as SourceError

from agent.foundation.errors import SettingsError
from agent.foundation.settings.environment import misspelt
from agent.foundation.settings.problems import lines_of, unknown_key
from agent.foundation.settings.shape import Place
from agent.foundation.settings.tree import Settings
from agent.foundation.settings.yaml_file import YamlFile, read_yaml

_NOTHING = YamlFile(values={}, lines={}, twice=())


def load_settings(path: Path | None = None) -> Settings:
    """Read a configuration file and the environment.

    Relative paths in the file are relative to the working directory. Without a file the defaults apply; an
    empty section is the same as one that is left out.

    Raises:
        SettingsError: the file is missing, is not valid YAML, or has problems; all of them are listed.
    """
    file = _NOTHING if path is None else read_yaml(path)
    known = {str(key): value for key, value in file.values.items() if key in Settings.model_fields}
    problems = [*file.twice, *misspelt(os.environ, Settings)]
    for key in file.values:
        if key not in known:
            problems.append(unknown_key((str(key),), Settings, file.lines.get((str(key),))))
    settings = _validated(
        {key: value for key, value in known.items() if value is not None}, file.lines, problems
    )
    if problems or settings is None:
        where = path or "the environment"
        raise SettingsError(
            "\n".join([f"{where}: correct these settings:", *(f"  {one}" for one in problems)])
        )
    return settings


def _validated(values: Mapping[str, Any], lines: Mapping[Place, int], problems: list[str]) -> Settings | None:
    """Return the settings, or None after adding what is wrong to `problems`."""
    try:
        return Settings(**values)
    except ValidationError as error:
        problems += lines_of(error.errors(include_url=False), Settings, lines)
    except SourceError as error:
        # Its text names the field and never the value: 'error parsing value for field "listener" ...'.
        name = next((one for one in Settings.model_fields if f'"{one}"' in str(error)), "")
        problems.append(f"ECHO_AGENT_{name.upper()}: a list or a section in the environment is given as JSON")
    except Exception as error:  # noqa: BLE001 - a validator may raise anything: the settings are wrong
        problems.append(f"the file: a value cannot be checked ({type(error).__name__}); see docs/settings.md")
    return None
