"""Checks how we sign in to servers over HTTP: whether the secret is available and safe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from agent.commands.configuration.finding import Finding
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.http import HttpCredentials
from agent.foundation.settings.tree import Settings


def credential_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with credentials; unreadable files are found together with all other files."""
    for place, credentials, url in _signed_in(settings):
        if credentials is None:
            continue
        yield from _secret(place, credentials)
        host = urlsplit(url).hostname or ""
        if url.startswith("http:") and not is_loopback(host):
            yield Finding(
                place=place,
                text="the secret would go over the network in clear",
                cure="use an https address",
            )


def _signed_in(settings: Settings) -> Iterator[tuple[str, HttpCredentials | None, str]]:
    """Yield each sign-in: the place in the settings, the credentials, and the address."""
    for number, one in enumerate(settings.destinations):
        yield f"destinations[{number}].credentials", one.credentials, one.stow_url or ""
        if one.fhir is not None:
            yield f"destinations[{number}].fhir.credentials", one.fhir.credentials, one.fhir.url
    if settings.archive is not None:
        yield "archive.credentials", settings.archive.credentials, settings.archive.url or ""
    signed = settings.signed_reports.fhir
    if signed is not None:
        yield "signed_reports.fhir.credentials", signed.credentials, signed.url


def _secret(place: str, credentials: HttpCredentials) -> Iterator[Finding]:
    from agent.foundation.errors import AgentError
    from agent.network.web_session import authorization

    file = credentials.token_file or credentials.password_file
    if file is not None and not os.access(file, os.R_OK):
        return
    try:
        authorization(credentials)
    except AgentError as error:
        yield Finding(place=place, text=str(error), cure="correct it, for the service's user")
