"""`doctor` at systems that are asked over HTTP: FHIR servers, and an archive with DICOMweb."""

from __future__ import annotations

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings
from agent.network.port_probe import PortState, probe_url
from agent.network.scu import ConnectionLost

# What was found, and what to do; nothing to do where it is right.
Found = tuple[str, str]


def bundles_found(destination: DestinationSettings, within_s: float) -> Found:
    """Whether a FHIR server states that it takes our bundles."""
    from agent.network.fhir_client import open_fhir, trouble_of

    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)})
    try:
        with open_fhir(hurried) as connection:
            trouble = trouble_of(connection.capabilities())
    except ConnectionLost as error:
        said = str(error), "check `fhir.url`, `fhir.token_url` and the secret"
        urls = (destination.fhir.token_url, destination.fhir.url) if destination.fhir is not None else ()
        return next((found for url in urls if (found := at_url(url, hurried.timeout_s))), said)
    except AgentError as error:
        return str(error), "check `fhir.url`, `fhir.token_url` and the secret"
    if trouble is not None:
        return trouble, "use a FHIR R4 server that takes transaction bundles"
    return "its FHIR server is R4 and takes transaction bundles", ""


def archive_found(archive: ArchiveSettings, within_s: float) -> Found:
    """Whether the archive's DICOMweb server answers a query."""
    from agent.network.archive import archive_trouble

    trouble = archive_trouble(archive, within_s)
    if trouble is not None:
        found = at_url(archive.url, within_s)
        if found is not None:
            return f"{archive.place}: {found[0]}", found[1]
        return f"{archive.place}: {trouble}", "check `archive.url`, the netrc password and REQUESTS_CA_BUNDLE"
    return f"{archive.place} answers queries (QIDO-RS)", ""


def stow_found(destination: DestinationSettings, within_s: float) -> Found:
    """Whether a DICOMweb server answers where documents are sent to."""
    from agent.network.stow import reachable

    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)})
    if reachable(hurried):
        return "its DICOMweb server answers", ""
    usual = "its DICOMweb server does not answer", "check `stow_url` and the netrc password"
    return at_url(destination.stow_url, hurried.timeout_s) or usual


def at_url(url: str | None, within_s: float) -> Found | None:
    """Return what is at the port of a web address if it is not a web server; None if it is one."""
    from requests.utils import get_environ_proxies

    # What is behind a proxy can only be asked through it.
    if not url or get_environ_proxies(url):
        return None
    state = probe_url(url, timeout_s=within_s)
    return None if state is PortState.HTTP else (state.words, state.remedy)
