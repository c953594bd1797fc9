"""The package dicomweb-client, set up for our DICOMweb connections: one attempt per request, no log lines."""

from __future__ import annotations

import logging

import requests
from dicomweb_client.api import DICOMwebClient

# Its log lines contain UIDs and responses.
for _name in ("dicomweb_client", "retrying"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class OneAttemptClient(DICOMwebClient):  # type: ignore[misc]
    """A client that leaves retries to the caller."""

    def __init__(self, url: str | None, session: requests.Session, timeout_s: float) -> None:
        """url: the DICOMweb root, with or without a trailing slash."""
        super().__init__(url=(url or "").rstrip("/"), session=session, timeout=timeout_s)
        self.set_http_retry_params(retry=False)
