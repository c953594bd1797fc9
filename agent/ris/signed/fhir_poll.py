"""Reads signed reports from a FHIR server: what has changed since the last poll, each version once.

Its position is a row, which advances only after a complete poll: after a crash the same reports are read
again, and recognised. No part of a report is logged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from agent.database.session import Database, database_now
from agent.database.signed_text import enter
from agent.database.watermarks import read_watermark, write_watermark
from agent.foundation.errors import DeliveryFailed
from agent.foundation.settings.signed import FhirReportsSettings
from agent.network.fhir_client import open_session, token_errors
from agent.network.http_limit import ended_after
from agent.network.web_fault import status_words
from agent.network.web_session import connection_errors
from agent.ris.signed.fhir_reports import STATUSES, Resource, moment, signed_of

WATERMARK = "signed-fhir"
_TYPE = "application/fhir+json"
_PAGE, _MOST_PAGES = 50, 1000
_LONGEST_ANSWER = 64_000_000
# A page comes as a whole within this many time-outs.
_TIMES_PATIENCE = 6


class FhirReports:
    """Polls one server."""

    def __init__(self, database: Database, settings: FhirReportsSettings) -> None:
        self._database = database
        self._settings = settings
        self._url = settings.url.rstrip("/") + "/"

    def run_once(self) -> int:
        """Enter what has been signed or changed since the last poll; return the number of new reports.

        Raises:
            DeliveryFailed: the server refused, or its answer cannot be read; nothing was skipped.
            ConnectionLost: it cannot be reached.
        """
        with self._database.reading() as session:
            kept, now = read_watermark(session, WATERMARK), database_now(session)
        since = kept or (now - timedelta(seconds=self._settings.look_back_s)).astimezone(UTC).isoformat()
        newest, count = moment(kept), 0
        with open_session(self._settings, self._settings.timeout_s) as http:
            for report in self._changed(http, since):
                count += self._take(report, http)
                meta = report.get("meta")
                changed = moment(meta.get("lastUpdated")) if isinstance(meta, dict) else None
                if changed is not None and (newest is None or changed > newest):
                    newest = changed
        if newest is not None:
            with self._database.transaction() as session:
                write_watermark(session, WATERMARK, newest.isoformat(), database_now(session))
        return count

    def _take(self, report: Resource, http: requests.Session) -> bool:
        known: dict[str, Resource] = {}

        def resolve(reference: str) -> Resource:
            if reference.startswith("#"):
                contained = report.get("contained")
                held = contained if isinstance(contained, list) else []
                return next((one for one in held if one.get("id") == reference[1:]), {})
            if reference not in known:
                known[reference] = self._get(http, reference, missing={})
            return known[reference]

        signed = signed_of(report, self._settings, resolve)
        if signed is None:
            return False
        with self._database.transaction() as session:
            return enter(session, signed, database_now(session))

    def _changed(self, http: requests.Session, since: str) -> Iterator[Resource]:
        keys = {
            "status": ",".join(STATUSES),
            "_lastUpdated": f"ge{since}",
            "_sort": "_lastUpdated",
            "_count": str(_PAGE),
            **({"category": self._settings.category} if self._settings.category else {}),
        }
        page = self._get(http, "DiagnosticReport", keys)
        for _ in range(_MOST_PAGES):
            for entry in page.get("entry") or ():
                resource = entry.get("resource") if isinstance(entry, dict) else None
                if isinstance(resource, dict) and resource.get("resourceType") == "DiagnosticReport":
                    yield resource
            links = page.get("link") or ()
            following = [one.get("url") for one in links if one.get("relation") == "next"]
            if not following or not following[0]:
                return
            page = self._get(http, str(following[0]))
        raise DeliveryFailed(f"the FHIR server's answer has more than {_MOST_PAGES} pages")

    def _get(
        self,
        http: requests.Session,
        address: str,
        keys: dict[str, str] | None = None,
        missing: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a resource of this server; no other server is queried, because it would get our token.

        missing: what to return for a resource that does not exist or may not be read.
        """
        url = urljoin(self._url, address)
        if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
            if missing is not None:
                return missing
            raise DeliveryFailed("the FHIR server names a page of another server")
        with (
            token_errors(),
            connection_errors("the FHIR server", self._settings),
            ended_after(_TIMES_PATIENCE * self._settings.timeout_s),
            http.get(
                url,
                params=keys,
                headers={"Accept": _TYPE},
                timeout=self._settings.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            if missing is not None and answer.status_code in (401, 403, 404, 410):
                return missing
            if answer.status_code != 200:
                raise DeliveryFailed(f"the FHIR server answered {status_words(answer.status_code)}")
            return _json(answer)


def _json(answer: requests.Response) -> dict[str, Any]:
    content = bytearray()
    for chunk in answer.iter_content(65_536):
        content += chunk
        if len(content) > _LONGEST_ANSWER:
            raise DeliveryFailed("the FHIR server's answer is too long")
    try:
        read = json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise DeliveryFailed("the FHIR server's answer cannot be read") from error
    return read if isinstance(read, dict) else {}
