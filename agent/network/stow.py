"""DICOMweb: sending (STOW-RS), one request per document, whose body is the file; querying (QIDO-RS).

Source: PS3.18 10.5 (Store transaction), 10.6 (Search transaction). A password comes from the user's
netrc file, never from a URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from pydicom import Dataset

from agent.foundation.errors import CommitmentFailed, DeliveryFailed, DeliveryRefused
from agent.foundation.settings.tree import DestinationSettings
from agent.network.commitment_terms import CommitmentItem
from agent.network.dicomweb_client import OneAttemptClient
from agent.network.statuses import StoreOutcome, store_status
from agent.network.store_scu import ConnectionLost, Sendable
from dicom_sr.attributes import integer, integers, is_stated, items, text

# Permanent failures: bad request, unsupported media or payload type.
_FOR_GOOD = frozenset({400, 405, 406, 410, 413, 415, 422})
_CONFLICT = 409
# A failed item without a reason that can be read (PS3.3 C.12.1.1.9).
_PROCESSING_FAILURE = 0x0110
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
        try:
            answer = self._client.store_file(document.content)
        except requests.HTTPError as error:
            response = error.response
            code = 0 if response is None else response.status_code
            if code == _CONFLICT and response is not None:
                return _judge(_failed_items(response))
            if code in _FOR_GOOD:
                raise DeliveryRefused(f"the DICOMweb server answered {code}") from error
            raise DeliveryFailed(f"the DICOMweb server answered {code}") from error
        except (requests.RequestException, OSError) as error:
            raise ConnectionLost(
                "the DICOMweb server cannot be reached, or did not answer in time"
            ) from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise DeliveryFailed("the DICOMweb server's answer cannot be read") from error
        return _judge(_failed(answer)) or _warning(answer)


@contextmanager
def open_stow(destination: DestinationSettings) -> Iterator[StowConnection]:
    """Open a session; does not connect before the first document."""
    with _client(destination) as client:
        yield StowConnection(client)


@contextmanager
def _client(destination: DestinationSettings) -> Iterator[_FileClient]:
    with requests.Session() as session:
        # The outbox retries.
        yield _FileClient(destination.stow_url, session, destination.timeout_s)


def reachable(destination: DestinationSettings) -> bool:
    """Return whether the DICOMweb root answers without a server error."""
    try:
        answer = requests.get(
            f"{(destination.stow_url or '').rstrip('/')}/studies",
            params={"limit": "1"},
            headers={"Accept": "application/dicom+json"},
            timeout=destination.timeout_s,
        )
    except requests.RequestException:
        return False
    return answer.status_code < 400


def holds(destination: DestinationSettings, items: Iterable[CommitmentItem]) -> frozenset[str]:
    """Return the SOP Instance UIDs of those documents that the server says it holds (QIDO-RS).

    Raises:
        CommitmentFailed: it did not answer the query with success.
        ConnectionLost: no connection, or no answer in time.
    """
    with _client(destination) as client:
        return frozenset(item.sop_instance_uid for item in items if _found(client, item))


def _found(client: _FileClient, item: CommitmentItem) -> bool:
    try:
        answers = client.search_for_instances(
            study_instance_uid=item.study_instance_uid,
            series_instance_uid=item.series_instance_uid,
            search_filters={"SOPInstanceUID": item.sop_instance_uid},
        )
        # An answer that ignores the filter names the instance or not, all the same.
        return any(_uid_of(one) == item.sop_instance_uid for one in answers)
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        if code in _NOT_THERE:
            return False
        raise CommitmentFailed(f"the DICOMweb server answered the query {code}") from error
    except (requests.RequestException, OSError) as error:
        raise ConnectionLost("the DICOMweb server cannot be reached, or did not answer in time") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CommitmentFailed("the DICOMweb server's answer to the query cannot be read") from error


def _uid_of(answer: Any) -> str:
    return text(Dataset.from_json(answer), "SOPInstanceUID")


class _FileClient(OneAttemptClient):
    """Sends files as they are: the library's own method would encode the dataset again."""

    def store_file(self, content: bytes) -> Dataset:
        """Store one Part 10 file; return the answer's attributes."""
        answer: Dataset = self._http_post_multipart_application_dicom(f"{self.base_url}/studies", [content])
        return answer


def _judge(failed: Iterable[Dataset]) -> str | None:
    """Raise what the first failed item's reason means; return a warning where it means stored after all."""
    for item in failed:
        stated = integers(item, "FailureReason")
        reason = stated[0] if len(stated) == 1 and stated[0] > 0 else _PROCESSING_FAILURE
        status = store_status(reason)
        words = f"0x{reason:04X}, {status.meaning}"
        if status.verdict is StoreOutcome.NEVER:
            raise DeliveryRefused(f"the DICOMweb server answered {words}")
        if status.verdict is StoreOutcome.AGAIN:
            raise DeliveryFailed(f"the DICOMweb server answered {words}")
        if status.verdict is StoreOutcome.WARNED:
            return words
    return None


def _warning(answer: Dataset) -> str | None:
    """Return the warning reason of the stored instance. Source: PS3.18 table 10.5.3-1, PS3.3 C.12.1.1.9."""
    for item in items(answer, "ReferencedSOPSequence"):
        reason = integer(item, "WarningReason")
        if reason:
            return f"0x{reason:04X}, {store_status(reason).meaning}"
    return None


def _failed_items(response: requests.Response) -> tuple[Dataset, ...]:
    """Return the failed items of a 409 answer; one general failure where it cannot be read."""
    try:
        return _failed(Dataset.from_json(response.content.decode())) or (_general_failure(),)
    except (ValueError, TypeError, AttributeError, KeyError):
        return (_general_failure(),)


def _failed(answer: Dataset) -> tuple[Dataset, ...]:
    """Return an answer's failed items; one general failure where it states some that cannot be read."""
    failed = items(answer, "FailedSOPSequence")
    return failed or ((_general_failure(),) if is_stated(answer, "FailedSOPSequence") else ())


def _general_failure() -> Dataset:
    item = Dataset()
    item.FailureReason = _PROCESSING_FAILURE
    return item
