"""Drafting files by hand, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.commands.common import ConfigOption, JsonOption, print_json, settings_of


def draft(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, readable=True, help="DICOM files, or folders of them.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write the Structured Reports here.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft the studies in files, immediately and on this machine: nothing is received, queued or sent.

    Exit status 1: a study could not be drafted.
    """
    from agent.commands.draft_files import draft_files
    from agent.foundation.log import configure_logging

    settings = settings_of(config)
    configure_logging(settings.log)
    results = draft_files(files, settings, output)
    if as_json:
        print_json({"reports": results})
    else:
        for one in results:
            print(f"study {one.study_instance_uid}: {one.state} {one.code or ''} {one.reason or ''}".rstrip())
            if one.text:
                print(f"\n{one.text}\n")
            for flag in one.flags:
                print(f"! {flag}")
            for path in one.sr:
                print(f"  {path}")
    if any(one.state not in ("DRAFTED", "SKIPPED") for one in results):
        raise typer.Exit(1)
