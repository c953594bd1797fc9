"""The kinds of destination in the settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.foundation.settings.destination import DestinationSettings

DICOM = {"name": "pacs", "host": "pacs.example"}
STOW = {"name": "web", "stow_url": "https://pacs.example/dicom-web"}


@pytest.mark.parametrize(
    ("values", "kind"), [(DICOM, "dicom"), (STOW, "stow"), (STOW | {"kind": "stow"}, "stow")]
)
def test_destination_kind_follows_from_what_is_given(values: dict[str, Any], kind: str) -> None:
    """A file that names no kind means the same as before there were kinds."""
    found = DestinationSettings(**values)
    assert (found.kind, found.documents) == (kind, ("findings", "report"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (DICOM | {"stow_url": "https://pacs.example/x", "kind": "dicom"}, "`stow_url` is not for"),
        ({"name": "web", "kind": "stow"}, "needs a `stow_url`"),
        ({"name": "pacs"}, "needs a `host`"),
        (DICOM | {"documents": []}, "at least 1 item"),
        (DICOM | {"documents": ["report", "report"]}, "names one twice"),
        (DICOM | {"documents": ["letter"]}, "'findings', 'report'"),
        (DICOM | {"kind": "fax"}, "'dicom'"),
    ],
)
def test_destination_settings_of_another_kind_are_refused(values: dict[str, Any], words: str) -> None:
    """A setting that a kind does not use is an error rather than ignored."""
    with pytest.raises(ValidationError, match=words):
        DestinationSettings(**values)


def test_destination_settings_survive_being_written_out() -> None:
    """The output of `config show` can be read again."""
    found = DestinationSettings(**DICOM, documents=("report",))
    assert DestinationSettings(**found.model_dump()) == found
