"""How a provider's claims are mapped, and which providers may be configured. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.foundation.errors import SettingsError
from agent.foundation.settings.reference import masked
from agent.foundation.settings.tree import OidcSettings, Settings, WebSettings
from agent.web.openid import OpenId, identity_of

ROLES = {"rad": "radiologist", "adm": "admin"}


def settings(**changes: Any) -> OidcSettings:
    """Return the settings of a provider."""
    return OidcSettings(**({"issuer": "https://id.example/", "client_id": "x", "roles": ROLES} | changes))


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"groups": ["x", "rad"]}, "groups", "radiologist"),
        ({"groups": "adm"}, "groups", "admin"),
        ({"groups": ["adm", "rad"]}, "groups", "radiologist"),
        ({"realm_access": {"roles": ["adm"]}}, "realm_access.roles", "admin"),
        ({"https://x.example/roles": ["rad"]}, "https://x.example/roles", "radiologist"),
        ({"groups": {"rad": True}}, "groups", None),
        ({"groups": 7}, "groups", None),
        ({}, "a.b", None),
    ],
)
def test_role_comes_from_the_claim(claims: dict[str, Any], claim: str, role: str | None) -> None:
    """The claim is a string, a list or a nested list; of several roles the first in the settings counts."""
    assert identity_of({"sub": "1"} | claims, settings(role_claim=claim)).role == role


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"family_name": "Roe", "given_name": "Rod"}, "Roe^Rod"),
        ({"family_name": "Roe^Dr=\\"}, "Roe Dr"),
        ({"name": "Rod Roe"}, "Rod Roe"),
        ({"preferred_username": "rod"}, "rod"),
        ({"name": "x" * 100}, "x" * 64),
    ],
)
def test_name_is_written_as_dicom_writes_it(claims: dict[str, Any], name: str) -> None:
    """A claim cannot bring in the characters that DICOM uses to separate the parts of a name."""
    assert identity_of({"sub": "1"} | claims, settings()).person_name == name


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://id.example"},
        {"issuer": "https://user:pw@id.example"},
        {"issuer": "https://id.example/?a=b"},
        {"scopes": "profile"},
        {"roles": {}},
        {"roles": {"a": "emperor"}},
        {"client_secret": "x", "client_secret_file": "y"},
    ],
)
def test_provider_that_cannot_be_trusted_is_no_setting(changes: dict[str, Any]) -> None:
    """Tokens are never sent in clear text, and a role must be a known one."""
    with pytest.raises(ValidationError):
        settings(**changes)


def test_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    """`config show` masks the secret; a missing file is reported at start."""
    shown = masked(Settings(web=WebSettings(oidc=settings(client_secret="hidden words"))))
    assert "hidden words" not in str(shown)
    (tmp_path / "secret").write_text("from a file\n")
    client = OpenId(settings(client_secret_file=tmp_path / "secret"))
    assert client._client.client_secret == "from a file"
    with pytest.raises(SettingsError, match="client_secret_file"):
        OpenId(settings(client_secret_file=tmp_path / "none"))
