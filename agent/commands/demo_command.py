"""The whole chain on one machine, with phantoms or with the files of a folder."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.commands.common import JsonOption, print_json


class PacsKind(StrEnum):
    """The PACS that the demo sends to."""

    EMBEDDED = "embedded"
    ORTHANC = "orthanc"


OutputOption = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Keep images (PNG), SRs and their HTML here. Without it only the SRs, in demo-output/.",
    ),
]
OrdersOption = Annotated[
    bool,
    typer.Option(
        "--orders",
        help="With a RIS: an HL7 order before each study, and the results that come back (ris.html).",
    ),
]


def demo(
    studies: Annotated[int, typer.Option(min=1, max=1000, help="How many phantom studies.")] = 5,
    input_folder: Annotated[
        Path | None,
        typer.Option(
            "--input", exists=True, file_okay=False, help="Send the DICOM files of this folder instead."
        ),
    ] = None,
    pacs: Annotated[PacsKind, typer.Option(help="The PACS: our own, or a real Orthanc.")] = PacsKind.EMBEDDED,
    output: OutputOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The first phantom; the others follow.")] = 1_000_000,
    size: Annotated[
        int, typer.Option(min=256, max=4096, help="Side of the phantoms' images in pixels.")
    ] = 1024,
    checkpoint: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A checkpoint other than the shipped one."),
    ] = None,
    orders: OrdersOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the whole chain: a PACS, the agent, a sending modality, and the drafts that come back.

    Exit status 1: a study failed.
    """
    from agent.commands.demo.outcome import as_object
    from agent.commands.demo.run import DemoOptions, run_demo
    from agent.commands.demo.show import Screen
    from agent.foundation.log import configure_logging
    from agent.foundation.settings.tree import LogSettings

    # The demo's agent has its own configuration.
    for name in [one for one in os.environ if one.startswith("ECHO_AGENT_")]:
        del os.environ[name]
    configure_logging(LogSettings(level="error"))
    options = DemoOptions(
        studies=studies,
        source=input_folder,
        pacs=pacs.value,
        output=output,
        seed=seed,
        size=size,
        checkpoint=checkpoint,
        orders=orders,
    )
    with Screen(expected=None if input_folder else studies) as screen:
        result = run_demo(options, screen.update)
    if as_json:
        print_json(as_object(result))
    else:
        screen.summary(result)
    if result.failed:
        raise typer.Exit(1)
