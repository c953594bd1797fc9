"""`echo-agent hl7 try`: shows what a message says and would change, without changing anything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.commands.common import ConfigOption, JsonOption, print_json, settings_of


def try_message(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help="A message, or a batch.", show_default=False
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what messages say and what they would change; nothing is stored. Exit status 1: one is refused.

    The output is patient data.
    """
    from agent.messages.hl7.parse import split_batch

    settings = settings_of(config)
    parts = split_batch(file.read_bytes())
    found = [_tried(one, settings.hl7) for one in parts] or [
        {"answer": "AR", "outcome": "refused", "words": "no MSH segment", "told": []}
    ]
    if as_json:
        print_json({"messages": found})
    else:
        for one in found:
            _print(one)
    if any(one["answer"] != "AA" for one in found):
        raise typer.Exit(1)


def _tried(raw: bytes, settings: Any) -> dict[str, Any]:
    from agent.foundation.errors import MessageRefused, MessageUnreadable
    from agent.messages.hl7.parse import parse
    from agent.ris.read import read
    from agent.ris.updates import NotApplied

    try:
        message = parse(raw)
    except MessageUnreadable as error:
        return {"answer": "AR", "outcome": "refused", "words": str(error), "told": []}
    known = {"kind": message.type, "control_id": message.control_id, "character_set": message.codec}
    try:
        told = read(message, settings)
    except MessageRefused as error:
        return {**known, "answer": "AE", "outcome": "refused", "words": str(error), "told": []}
    notice = next((one for one in told if isinstance(one, NotApplied)), None)
    if notice is not None:
        words = notice.words
        if notice.doubtful:
            words = "not applied, and refused (AE) if studies of the patient in MRG are here"
        return {**known, "answer": "AA", "outcome": "ignored", "words": words, "told": []}
    return {
        **known,
        "answer": "AA",
        "outcome": "applied",
        "words": "",
        "told": [{"what": type(one).__name__.removesuffix("Update").lower(), **asdict(one)} for one in told],
    }


def _print(one: dict[str, Any]) -> None:
    print(f"{one.get('kind', '(unreadable)')} {one.get('control_id', '')}: {one['answer']}, {one['outcome']}")
    if one["words"]:
        print(f"  {one['words']}")
    for told in one["told"]:
        print(f"  {told['what']}")
        for name, value in told.items():
            if name == "what" or value in ("", None, False, ()):
                continue
            for key, text in _flat(name, value):
                print(f"    {key:<24} {text}")


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(key, str(text)) for key, text in value.items() if text]
    if isinstance(value, list | tuple):
        return [(f"{name} {key}", text) for one in value for key, text in _flat(name, one)]
    lines = str(value).split("\n")
    return [(name, lines[0]), *(("", line) for line in lines[1:])]
