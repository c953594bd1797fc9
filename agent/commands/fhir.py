"""`echo-agent fhir try`: the bundle that a destination would receive for a draft, without sending it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.common import ConfigOption, JsonOption, print_json, settings_of

if TYPE_CHECKING:
    from agent.foundation.settings.tree import DestinationSettings, Settings


def try_bundle(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            readable=True,
            help="DICOM images, or folders of them.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Study Instance UID of a draft in the database.", show_default=False)
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            help="Name of a destination of kind `fhir`; default: the first one.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the FHIR bundle of a draft for a destination; nothing is sent. Exit status 1: it is not valid.

    The output is patient data. Without files and study, a phantom is drafted.
    """
    from agent.foundation.log import configure_logging
    from agent.reports.preview import problems_of

    settings = settings_of(config)
    configure_logging(settings.log)
    where = _destination(settings, destination)
    made = [_of_study(settings, where, study)] if study else _of_files(settings, where, files or ())
    bundles = [json.loads(content) for content in made]
    problems = [problems_of(one) for one in bundles]
    if as_json:
        print_json(
            {
                "destination": where.name,
                "bundles": [{"bundle": b, "problems": p} for b, p in zip(bundles, problems, strict=True)],
            }
        )
    else:
        for bundle, wrong in zip(bundles, problems, strict=True):
            _print(bundle, wrong, where)
    if any(problems):
        raise typer.Exit(1)


def _destination(settings: Settings, name: str | None) -> DestinationSettings:
    """Return the destination with this name; without a name the first of kind `fhir`, or one with
    defaults.
    """
    from agent.foundation.errors import SettingsError
    from agent.foundation.settings.fhir import FhirDestinationSettings
    from agent.foundation.settings.tree import DestinationSettings

    known = [one for one in settings.destinations if one.kind == "fhir" and name in (None, one.name)]
    if known:
        return known[0]
    if name is not None:
        raise SettingsError(f"no destination of kind `fhir` has the name {name!r}")
    server = FhirDestinationSettings(url="http://localhost/fhir")
    return DestinationSettings(name="(defaults)", kind="fhir", fhir=server)


def _of_study(settings: Settings, destination: DestinationSettings, uid: str) -> bytes:
    from agent.reports.preview import preview
    from agent.service.wiring import open_database

    database = open_database(settings)
    try:
        with database.reading() as session:
            return preview(session, uid, destination)
    finally:
        database.close()


def _of_files(settings: Settings, destination: DestinationSettings, files: Sequence[Path]) -> list[bytes]:
    from agent.commands.draft_files import draft_records
    from agent.foundation.clock import SystemClock
    from agent.reports.preview import preview_of_record

    with tempfile.TemporaryDirectory() as folder:
        paths = list(files) or _phantom(Path(folder))
        now = SystemClock().now()
        return [preview_of_record(record, destination, now) for record in draft_records(paths, settings)]


def _phantom(folder: Path) -> list[Path]:
    """Write a phantom study's files."""
    from agent.commands.demo.phantom_study import phantom_study
    from agent.foundation.clock import SystemClock

    paths = []
    for number, dataset in enumerate(phantom_study(1, number=0, taken=SystemClock().now()).instances):
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _print(bundle: dict[str, Any], problems: Sequence[str], destination: DestinationSettings) -> None:
    print(f"to {destination.name} at {destination.place}: POST, {len(bundle['entry'])} entries")
    for entry in bundle["entry"]:
        resource, request = entry["resource"], entry["request"]
        print(f"  {request['method']:<5} {request['url']}")
        if "ifNoneExist" in request:
            print(f"        only if there is none: {request['ifNoneExist']}")
        said = [str(resource.get("status", "")), *_words(resource)]
        print("        " + "  ".join(part for part in said if part))
    print(f"  {'valid' if not problems else f'{len(problems)} problems'}")
    for line in problems:
        print(f"  ! {line}")


def _words(resource: dict[str, Any]) -> list[str]:
    """Return the subject of a resource in words."""
    value = resource.get("valueCodeableConcept") or {}
    subject = resource.get("subject") or {}
    return [
        str((resource.get("code") or {}).get("text", "")),
        str(value.get("text", "")),
        str(subject.get("display") or subject.get("reference") or ""),
    ]
