"""An archive accessed by DICOMweb: queries by QIDO-RS, retrieval by WADO-RS.

Whatever the server does, every wait ends at the caller's deadline, and the length of an answer is limited.

Source: PS3.18 10.4 (Retrieve transaction), 10.6 (Search transaction), PS3.18 F.2 (DICOM JSON model).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import requests
from pydicom.datadict import tag_for_keyword

from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.dicomweb_client import OneAttemptClient
from agent.network.http_limit import ended_after
from agent.network.incoming import Incoming
from agent.network.multipart import BodyRefused, Parts, boundary_of
from agent.network.query_scu import (
    MOST_ANSWERS,
    STUDY_FIELDS,
    FoundInstance,
    FoundSeries,
    FoundStudy,
    ListedStudy,
    StudyList,
    count_of,
    found_study,
)
from agent.network.scu import ConnectionLost
from agent.network.web_fault import fault_of_answer, fault_words, status_words
from agent.network.web_session import HttpSession, prepare, shows

# Answers per request; a server may have a smaller limit.
_PAGE = 500
# Bytes of the answer to one query, and of one read.
_LONGEST_ANSWER, _CHUNK = 64_000_000, 65_536
# Statuses of a server in trouble; any other failure is a refusal.
_IN_TROUBLE = (408, 425, 429)
_NOT_THERE = (404, 410)
_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_SERIES_FIELDS = ("NumberOfSeriesRelatedInstances", "BodyPartExamined", "SeriesDescription", "ProtocolName")
Answer = Mapping[str, Any]
Filters = Mapping[str, str]


class DicomwebArchive:
    """A session with the DICOMweb server of an archive."""

    def __init__(self, client: OneAttemptClient, session: _BoundedSession, incoming: Incoming | None) -> None:
        self._client = client
        self._session = session
        self._incoming = incoming

    def studies(
        self, *, patient_id: str, issuer_of_patient_id: str, since: str, until: str
    ) -> list[FoundStudy]:
        """Return the studies of a patient whose Study Date is in a range (DA values, both included).

        The issuer is not a key of the query, because servers need not support it as one; answers state it.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        found = self.matching({"PatientID": patient_id, "StudyDate": f"{since}-{until}"})
        if not issuer_of_patient_id:
            return found
        return [one for one in found if one.issuer_of_patient_id in ("", issuer_of_patient_id)]

    def matching(self, filters: Filters, most: int = MOST_ANSWERS) -> list[FoundStudy]:
        """Return the studies that match keys of a query (keyword to value), page after page.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer, or it has more than
            `most` studies.
        """
        found = self._search(
            self._client.search_for_studies,
            "StudyInstanceUID",
            most,
            search_filters=dict(filters),
            fields=list(STUDY_FIELDS),
        )
        return [_study(one) for one in found]

    def list_studies(self, *, study_date: str, study_time: str, modality: str, most: int) -> StudyList:
        """Return the studies with a modality in a range of dates (DA), optionally in a range of times (TM).

        Pages are read until there are `most` studies.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no answer.
        """
        filters = {"StudyDate": study_date, "StudyTime": study_time, "ModalitiesInStudy": modality}
        found = self._search(
            self._client.search_for_studies,
            "StudyInstanceUID",
            most,
            raises=False,
            search_filters={key: value for key, value in filters.items() if value},
            fields=["StudyInstanceUID", "StudyDescription", "ModalitiesInStudy"],
        )
        studies = tuple(
            ListedStudy(
                study_instance_uid=_text(one, "StudyInstanceUID"),
                study_description=_text(one, "StudyDescription"),
                modalities=_values(one, "ModalitiesInStudy"),
            )
            for one in islice(found, most)
        )
        return StudyList(studies=studies, cut_off=len(studies) >= most)

    def study(self, study_instance_uid: str) -> FoundStudy | None:
        """Return the archive's description of one study, None if it does not have it.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        answers = self.matching({"StudyInstanceUID": study_instance_uid})
        return next((one for one in answers if one.study_instance_uid == study_instance_uid), None)

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Return the series of a study.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        found = self._search(
            self._client.search_for_series,
            "SeriesInstanceUID",
            study_instance_uid=study_instance_uid,
            fields=list(_SERIES_FIELDS),
        )
        return [
            FoundSeries(
                series_instance_uid=_text(one, "SeriesInstanceUID"),
                modality=_text(one, "Modality"),
                instances=count_of(_text(one, "NumberOfSeriesRelatedInstances")),
                body_part_examined=_text(one, "BodyPartExamined"),
                series_description=_text(one, "SeriesDescription"),
                protocol_name=_text(one, "ProtocolName"),
            )
            for one in found
        ]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> list[FoundInstance]:
        """Return the instances of a series.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        found = self._search(
            self._client.search_for_instances,
            "SOPInstanceUID",
            study_instance_uid=study_instance_uid,
            series_instance_uid=series_instance_uid,
        )
        return [
            FoundInstance(
                sop_instance_uid=_text(one, "SOPInstanceUID"), sop_class_uid=_text(one, "SOPClassUID")
            )
            for one in found
        ]

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Retrieve a series in the transfer syntax in which the archive stores it; each file is passed on as
        soon as it is complete.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: it was not sent, or only in part.
        """
        incoming = self._incoming
        if incoming is None:
            raise ArchiveRefused("this connection was opened for queries only")
        url = f"{self._client.base_url}/studies/{study_instance_uid}/series/{series_instance_uid}"
        with _meaning("WADO-RS", shown=self._session.shows), self._session.limited():
            with self._session.get(url, headers={"Accept": _FILES}, stream=True) as answer:
                answer.raise_for_status()
                parts = Parts(boundary_of(answer.headers.get("Content-Type", "")), incoming.longest)
                for chunk in self._session.chunks(answer):
                    for file in parts.feed(chunk):
                        incoming.take(file)
                parts.check()
            if not parts.ended:
                raise ArchiveUnavailable("the archive ended the connection within a WADO-RS response")

    def _search(
        self,
        search: Callable[..., Any],
        identifier: str,
        most: int = MOST_ANSWERS,
        *,
        raises: bool = True,
        **query: Any,
    ) -> Iterator[Answer]:
        """Yield the answers of all pages of a search, each once; pages may be smaller than requested, or
        repeat.

        search, query: a search transaction of the client, and its arguments. identifier: the keyword that
        identifies an answer. raises: whether more than `most` answers are an error.
        """
        seen: set[str] = set()
        while True:
            with _meaning("QIDO-RS", shown=self._session.shows), self._session.limited():
                answers = _answers(search(**query, limit=min(_PAGE, most), offset=len(seen)))
            fresh = {uid: one for one in answers if (uid := _text(one, identifier)) and uid not in seen}
            if not fresh:
                return
            seen.update(fresh)
            if len(seen) > most and raises:
                raise ArchiveRefused(f"the archive gave more than {most} answers to one query")
            yield from fresh.values()


@contextmanager
def open_dicomweb(
    settings: ArchiveSettings, budget_s: float, incoming: Incoming | None = None
) -> Iterator[DicomwebArchive]:
    """Open a session, which ends after `budget_s` seconds; it does not connect before the first request."""
    with _BoundedSession(time.monotonic() + budget_s, settings) as session:
        client = OneAttemptClient(settings.url, session, settings.timeout_s)
        yield DicomwebArchive(client, session, incoming)


class _BoundedSession(HttpSession):
    """Ends every request at the deadline, and reads a response up to a limit."""

    def __init__(self, deadline: float, settings: ArchiveSettings) -> None:
        """Prepare a session with the archive's TLS and our credentials.

        Raises:
            ArchiveUnavailable: a file or variable that the settings name cannot be used.
        """
        super().__init__()
        self._deadline = deadline
        self._timeout_s = settings.timeout_s
        self.shows = shows(settings)
        self.headers["Accept-Encoding"] = "identity"
        try:
            prepare(self, settings)
        except ConnectionLost as error:
            raise ArchiveUnavailable(str(error)) from error

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request; the whole response is read immediately unless it is streamed."""
        streamed = bool(options.get("stream"))
        options["stream"] = True
        options["timeout"] = min(self._timeout_s, self._left())
        answer = super().send(request, **options)
        if not streamed:
            with closing(answer):
                answer._content = self._whole(answer)
        return answer

    @contextmanager
    def limited(self) -> Iterator[None]:
        """End what is asked here at the deadline, and the reading of the answer too."""
        left = self._left()
        try:
            with ended_after(left):
                yield
        except requests.ReadTimeout:
            self._left()  # the reason, where it is that the deadline has passed
            raise

    def _whole(self, answer: requests.Response) -> bytes:
        content = bytearray()
        for chunk in self.chunks(answer):
            content += chunk
            if len(content) > _LONGEST_ANSWER:
                raise ArchiveRefused("the archive's answer to a query is too long")
        return bytes(content)

    def chunks(self, answer: requests.Response) -> Iterator[bytes]:
        """Yield the body of an answer until the deadline."""
        for chunk in answer.iter_content(_CHUNK):
            self._left()
            yield chunk

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ArchiveLate("the archive did not answer in time")
        return left


@contextmanager
def _meaning(what: str, *, shown: bool) -> Iterator[None]:
    """Translate the exceptions of the HTTP client; their texts are never quoted.

    shown: whether we have a certificate to show.
    """
    try:
        yield
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        state = None if error.response is None else fault_of_answer(code, _start_of(error.response))
        if state is not None:
            words = f"the archive cannot be reached: {state.words}"
            raise ArchiveUnavailable(words, remedy=state.remedy) from error
        words = f"the archive answered the {what} request with HTTP status {status_words(code)}"
        if code >= 500 or code in _IN_TROUBLE:
            raise ArchiveUnavailable(words) from error
        raise ArchiveRefused(words) from error
    except BodyRefused as error:
        raise ArchiveRefused(f"the archive's answer to the {what} request cannot be read") from error
    except ConnectionLost as error:
        raise ArchiveUnavailable(error.finding, remedy=error.remedy) from error
    except requests.exceptions.JSONDecodeError as error:
        raise ArchiveRefused(f"the archive's answer to the {what} request cannot be read") from error
    except (requests.RequestException, OSError) as error:
        found, remedy = fault_words(error, shown=shown)
        words = f"the archive cannot be reached over HTTP: {found}"
        raise ArchiveUnavailable(words, remedy=remedy) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ArchiveRefused(f"the archive's answer to the {what} request cannot be read") from error


def _start_of(answer: requests.Response) -> bytes:
    """Return the body of a refusal as far as it has been read; a streamed one has not been."""
    return answer.content if getattr(answer, "_content", False) else b""


def _answers(stated: Any) -> Sequence[Answer]:
    """Return the answers of a page that are data sets."""
    return [one for one in stated if isinstance(one, dict)] if isinstance(stated, list) else []


def _study(answer: Answer) -> FoundStudy:
    return found_study(lambda keyword: _text(answer, keyword), _values(answer, "ModalitiesInStudy"))


def _values(answer: Answer, keyword: str) -> tuple[str, ...]:
    """Return the values of an element as text without padding; empty if it is not an element."""
    element = answer.get(f"{tag_for_keyword(keyword) or 0:08X}")
    stated = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(stated, list):
        return ()
    texts = (str(one).strip(" \0") for one in stated if isinstance(one, str | int | float))
    return tuple(one for one in texts if one)


def _text(answer: Answer, keyword: str) -> str:
    values = _values(answer, keyword)
    return values[0] if values else ""
