"""The connections to destinations, one for each kind; each sends stored bytes, whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from agent.foundation.settings.tree import DestinationSettings
from agent.network.mllp import open_mllp
from agent.network.store_scu import Connection, open_connection

Way = Callable[[DestinationSettings, Iterable[str]], AbstractContextManager[Connection]]


@contextmanager
def open_way(destination: DestinationSettings, sop_class_uids: Iterable[str]) -> Iterator[Connection]:
    """Open a connection to a destination in the way of its kind.

    Raises:
        DeliveryRefused: the destination accepts none of the SOP classes.
        ConnectionLost: it cannot be reached.
    """
    with _WAYS[destination.kind](destination, sop_class_uids) as connection:
        yield connection


@contextmanager
def _store(destination: DestinationSettings, sop_class_uids: Iterable[str]) -> Iterator[Connection]:
    with open_connection(destination, sop_class_uids) as association:
        yield association


@contextmanager
def _stow(destination: DestinationSettings, _sop_class_uids: Iterable[str]) -> Iterator[Connection]:
    from agent.network.stow import open_stow  # an HTTP client that a DICOM-only deliverer does not load

    with open_stow(destination) as connection:
        yield connection


@contextmanager
def _hl7(destination: DestinationSettings, _sop_class_uids: Iterable[str]) -> Iterator[Connection]:
    with open_mllp(destination) as connection:
        yield connection


@contextmanager
def _fhir(destination: DestinationSettings, _sop_class_uids: Iterable[str]) -> Iterator[Connection]:
    from agent.network.fhir_client import (
        open_fhir,  # an HTTP client that a DICOM-only deliverer does not load
    )

    with open_fhir(destination) as connection:
        yield connection


_WAYS: Mapping[str, Way] = {"dicom": _store, "stow": _stow, "hl7": _hl7, "fhir": _fhir}
