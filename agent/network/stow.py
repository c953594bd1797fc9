"""DICOMweb: sending (STOW-RS), one request per document, whose body is the file; querying (QIDO-RS).

An answer counts as success only if it belongs to this transaction: a sign-in page, which a gateway sends with
status 200, stores nothing.

Source: PS3.18 10.5 (Store transaction), 10.6 (Search transaction).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from pydicom import Dataset

from agent.foundation.errors import CommitmentFailed, DeliveryFailed, DeliveryRefused
from agent.foundation.settings.tree import DestinationSettings
from agent.network.commitment_terms import CommitmentItem
from agent.network.dicomweb_client import OneAttemptClient
from agent.network.store_scu import Sendable
from agent.network.stow_answer import judge_conflict, judge_success
from agent.network.web_fault import status_words
from agent.network.web_session import check_answer, connection_errors, open_web_session
from dicom_sr.attributes import text

# Permanent failures: bad request, unsupported media or payload type.
_FOR_GOOD = frozenset({400, 405, 406, 410, 413, 415, 422})
_SERVER = "the DICOMweb server"
_CONFLICT = 409
_NOT_THERE = (404, 410)


class StowConnection:
    """A session with one DICOMweb server."""

    def __init__(self, client: _FileClient) -> None:
        self._client = client

    def store(self, document: Sendable) -> str | None:
        """Send one document; return the warning that it was stored with, None for plain success.

        Raises:
            DeliveryRefused: the server will never take this document.
            DeliveryFailed: it did not take it this time.
            ConnectionLost: no connection, or no answer in time.
        """
        response = self._client.store_file(document.content)
        check_answer(_SERVER, response)
        code = response.status_code
        kind, content = response.headers.get("Content-Type", ""), response.content
        if code == _CONFLICT:
            return judge_conflict(kind, content)
        if code in _FOR_GOOD:
            raise DeliveryRefused(f"{_SERVER} answered {code}")
        if not 200 <= code < 300:
            raise DeliveryFailed(f"{_SERVER} answered {status_words(code)}")
        return judge_success(kind, content)


@contextmanager
def open_stow(destination: DestinationSettings) -> Iterator[StowConnection]:
    """Open a session; does not connect before the first document."""
    with _client(destination) as client:
        yield StowConnection(client)


@contextmanager
def _client(destination: DestinationSettings) -> Iterator[_FileClient]:
    with open_web_session(destination) as session:
        # The outbox retries.
        yield _FileClient(destination, session)


def check_reachable(destination: DestinationSettings) -> None:
    """Return if the DICOMweb root answers a query.

    Raises:
        ConnectionLost: no connection, or no answer in time; the text says why.
        DeliveryFailed: it refuses.
    """
    with open_web_session(destination) as session, connection_errors(_SERVER, destination):
        answer = session.get(
            f"{(destination.stow_url or '').rstrip('/')}/studies",
            params={"limit": "1"},
            headers={"Accept": "application/dicom+json"},
            timeout=destination.timeout_s,
        )
    check_answer(_SERVER, answer)
    if answer.status_code >= 400:
        raise DeliveryFailed(f"{_SERVER} answered {status_words(answer.status_code)}")


def holds(destination: DestinationSettings, items: Iterable[CommitmentItem]) -> frozenset[str]:
    """Return the SOP Instance UIDs of the documents that the server says it holds (QIDO-RS).

    Raises:
        CommitmentFailed: it did not answer the query with success.
        ConnectionLost: no connection, or no answer in time.
    """
    with _client(destination) as client:
        return frozenset(item.sop_instance_uid for item in items if _found(client, item))


def _found(client: _FileClient, item: CommitmentItem) -> bool:
    try:
        with connection_errors(_SERVER, client.peer):
            answers = client.search_for_instances(
                study_instance_uid=item.study_instance_uid,
                series_instance_uid=item.series_instance_uid,
                search_filters={"SOPInstanceUID": item.sop_instance_uid},
            )
        # An answer that ignores the filter still either names the instance or does not.
        return any(_uid_of(one) == item.sop_instance_uid for one in answers)
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        if code in _NOT_THERE:
            return False
        raise CommitmentFailed(f"the DICOMweb server answered the query {status_words(code)}") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CommitmentFailed("the DICOMweb server's answer to the query cannot be read") from error


def _uid_of(answer: Any) -> str:
    return text(Dataset.from_json(answer), "SOPInstanceUID")


class _FileClient(OneAttemptClient):
    """Sends files as they are.

    The library's own method would encode the dataset again, and treats a success that it cannot read as one
    without failed instances.
    """

    def __init__(self, peer: DestinationSettings, session: requests.Session) -> None:
        super().__init__(peer.stow_url, session, peer.timeout_s)
        self.peer = peer
        self._web = session

    def store_file(self, content: bytes) -> requests.Response:
        """Send one Part 10 file; return the answer.

        Raises:
            ConnectionLost: no connection, or no answer in time; the text says why.
        """
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
        with connection_errors(_SERVER, self.peer):
            return self._web.post(
                f"{self.base_url}/studies",
                data=b"".join((head, content, f"\r\n--{boundary}--\r\n".encode())),
                headers={"Content-Type": kind, "Accept": "application/dicom+json"},
                timeout=self.peer.timeout_s,
            )
