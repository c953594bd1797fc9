"""Settings of servers that are reached over HTTP: which combinations are valid."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirClientSettings
from agent.foundation.settings.http import HttpCredentials


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "give one of"),
        ({"token_file": "t", "token_variable": "T"}, "give one of"),
        ({"token_file": "t", "username": "u", "password_file": "p"}, "give one of"),
        ({"token_file": "t", "username": "u"}, "go together"),
        ({"password_file": "p"}, "go together"),
        ({"username": "u"}, "give one of"),
        ({"username": "a:b", "password_file": "p"}, "colon"),
        ({"token_variable": "$TOKEN"}, "token_variable"),
        ({"token": "secret"}, "token"),
    ],
)
def test_credentials_name_one_secret(values: dict[str, Any], problem: str) -> None:
    """Credentials are a token, or a user name with a password; there is no key for the secret itself."""
    with pytest.raises(ValidationError, match=problem):
        HttpCredentials.model_validate(values)


FHIR = {"name": "emr", "kind": "fhir", "fhir": {"url": "https://a/b"}}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": "x", "stow_url": "http://a/b", "tls": {}}, "needs an https address"),
        ({"name": "x", "host": "a", "credentials": {"token_variable": "T"}}, "`credentials` is not for"),
        (FHIR | {"tls": {"verify_host": False}}, "belongs into the section `fhir`"),
        (FHIR | {"credentials": {"token_variable": "T"}}, "belongs into the section `fhir`"),
    ],
)
def test_destination_takes_what_its_kind_reads(values: dict[str, Any], problem: str) -> None:
    """A setting that would be ignored is refused."""
    with pytest.raises(ValidationError, match=problem):
        DestinationSettings.model_validate(values)


def test_fhir_client_signs_in_one_way() -> None:
    """Either OAuth 2.0 or credentials are given; `tls` needs an https address."""
    oauth = {"token_url": "https://a/t", "client_id": "c", "client_secret_file": "s"}
    with pytest.raises(ValidationError, match="not both"):
        FhirClientSettings.model_validate(
            {"url": "https://a/b", **oauth, "credentials": {"token_variable": "T"}}
        )
    with pytest.raises(ValidationError, match="https address"):
        FhirClientSettings.model_validate({"url": "http://a/b", "tls": {"verify_host": False}})
