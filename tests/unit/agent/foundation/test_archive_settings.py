"""The settings of the archive that is queried, by DICOM or DICOMweb."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.foundation.settings.tree import ArchiveSettings


def test_archive_with_an_address_of_the_web_is_of_that_kind() -> None:
    """The kind follows from the address; its host is used in records."""
    archive = ArchiveSettings(url="https://pacs.example:8443/dicom-web", ae_title="MAIN")
    assert (archive.kind, archive.address, archive.place) == (
        "dicomweb",
        "pacs.example",
        "https://pacs.example:8443/dicom-web",
    )
    plain = ArchiveSettings(host="192.0.2.1", port=11112)
    assert (plain.kind, plain.address, plain.place) == ("dicom", "192.0.2.1", "PACS at 192.0.2.1:11112")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "needs a `host`"),
        ({"kind": "dicomweb"}, "needs a `url`"),
        ({"kind": "dicomweb", "url": "https://a/b", "host": "pacs"}, "`host` is not for"),
        ({"host": "pacs", "url": "https://a/b"}, "`url` is not for"),
        ({"url": "http://a/b", "tls": {}}, "`tls` needs an https address"),
        ({"host": "pacs", "credentials": {"token_variable": "T"}}, "`credentials` is not for"),
        ({"url": "https://user:secret@a/b"}, "url"),
        ({"url": "ftp://a/b"}, "url"),
        ({"url": "http://a:99999/b"}, "port"),
    ],
)
def test_archive_settings_that_do_not_fit_are_refused(values: dict[str, Any], problem: str) -> None:
    """A setting of the other kind is an error, as is an archive without an address."""
    with pytest.raises(ValidationError, match=problem):
        ArchiveSettings(**values)
