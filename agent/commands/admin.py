"""Commands for the configuration: check it, and show the settings in force."""

from __future__ import annotations

from agent.commands.common import ConfigOption, JsonOption, print_json, settings_of


def config_check(config: ConfigOption = None) -> None:
    """Check the configuration, and list everything that is wrong with it: where, what, and how to correct it.

    Exit status 2 if anything is wrong.
    """
    from agent.commands.common import config_file
    from agent.commands.configuration.check import check

    check(config_file(config), strict=True)
    print("the configuration is valid")


def config_show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the settings in force: the file, the environment and the defaults together."""
    import yaml

    from agent.foundation.settings.reference import masked

    values = masked(settings_of(config))
    if as_json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), end="")


def config_reference() -> None:
    """Print the reference of all settings (docs/settings.md)."""
    from agent.foundation.settings.reference import reference

    print(reference(), end="")
