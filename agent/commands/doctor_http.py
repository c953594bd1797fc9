"""`doctor` at systems that are asked over HTTP: FHIR servers, and an archive with DICOMweb."""

from __future__ import annotations

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings

# What was found, and what to do; nothing to do where it is right.
Found = tuple[str, str]


def bundles_found(destination: DestinationSettings, within_s: float) -> Found:
    """Whether a FHIR server states that it takes our bundles."""
    from agent.network.fhir_client import open_fhir, trouble_of

    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, within_s)})
    try:
        with open_fhir(hurried) as connection:
            trouble = trouble_of(connection.capabilities())
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
        return f"{archive.place}: {trouble}", "check `archive.url`, the netrc password and REQUESTS_CA_BUNDLE"
    return f"{archive.place} answers queries (QIDO-RS)", ""
