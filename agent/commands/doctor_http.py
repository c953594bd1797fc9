"""The `doctor` checks of HTTP servers: FHIR and DICOMweb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings
from agent.network.port_probe import PortState, probe_url

if TYPE_CHECKING:
    from agent.network.web_session import WebPeer

# What was found, and what to do; empty if nothing is wrong.
Found = tuple[str, str]


def bundles_found(destination: DestinationSettings, within_s: float) -> Found:
    """Check whether a FHIR server declares that it accepts our bundles."""
    from agent.network.fhir_client import open_fhir, trouble_of
    from agent.network.scu import ConnectionLost

    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)})
    usual = "check `fhir.url`, `fhir.token_url`, the secret and the rights that it has there"
    try:
        with open_fhir(hurried) as connection:
            trouble = trouble_of(connection.capabilities())
    except ConnectionLost as error:
        settings = destination.fhir
        urls = () if settings is None else (settings.token_url, settings.url)
        found = (at_url(url, hurried.timeout_s, settings) for url in urls)
        return next((one for one in found if one), said(error, usual))
    except AgentError as error:
        return said(error, usual)
    if trouble is not None:
        return trouble, "use a FHIR R4 server that takes transaction bundles"
    return "its FHIR server is R4 and takes transaction bundles", ""


def archive_found(archive: ArchiveSettings, within_s: float) -> Found:
    """Check whether the archive's DICOMweb server answers a query."""
    from agent.network.archive import archive_trouble

    trouble = archive_trouble(archive, within_s)
    if trouble is not None:
        found = at_url(archive.url, within_s, archive)
        if found is not None:
            return f"{archive.place}: {found[0]}", found[1]
        return f"{archive.place}: {trouble}", "check `archive.url` and `archive.credentials`"
    return f"{archive.place} answers queries (QIDO-RS)", ""


def stow_found(destination: DestinationSettings, within_s: float) -> Found:
    """Check whether the DICOMweb server that documents are sent to answers."""
    from agent.network.scu import ConnectionLost
    from agent.network.stow import check_reachable

    usual = "check `stow_url`, `credentials` and the rights that they have there"
    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)})
    try:
        check_reachable(hurried)
    except ConnectionLost as error:
        return at_url(destination.stow_url, hurried.timeout_s, destination) or said(error, usual)
    except AgentError as error:
        return said(error, usual)
    return "its DICOMweb server answers", ""


def said(error: AgentError, usual: str) -> Found:
    """Return an error's text and remedy; a remedy in its text takes precedence over the usual one."""
    return error.finding, error.remedy or usual


def at_url(url: str | None, within_s: float, peer: WebPeer | None = None) -> Found | None:
    """Return what is at the port of a web address, or None if it is a web server.

    peer: the peer whose TLS settings apply; without one, the authorities of other HTTP clients.
    """
    from requests.utils import get_environ_proxies

    from agent.network.tls import web_context

    # A server behind a proxy can only be queried through it.
    if not url or get_environ_proxies(url):
        return None
    tls = None if peer is None else peer.tls
    try:
        context = web_context(tls)
    except AgentError as error:
        return str(error), "correct the files of `tls`; `echo-agent config check` says which"
    name = None if tls is None else tls.server_name
    state = probe_url(url, timeout_s=within_s, context=context, server_name=name)
    return None if state is PortState.HTTP else (state.words, state.remedy)
