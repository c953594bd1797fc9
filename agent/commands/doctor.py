"""Checks a machine and a configuration, before the first study or when something is wrong.

Every check states what it found and, if that is wrong, how to correct it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.commands.certificates import our_certificates
from agent.commands.doctor_hl7 import messages_found, port_found, receiver_found
from agent.commands.doctor_http import archive_found, at_url, bundles_found, stow_found
from agent.commands.doctor_listener import listener_found
from agent.database import migrate
from agent.database.session import Database, database_now
from agent.foundation.clock import SystemClock
from agent.foundation.disk import free_mb
from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings, Settings
from model.errors import ModelError

# A larger difference (s) between the machine's clock and the database's confuses times in reports and logs.
CLOCK_SKEW_S = 5.0
# A certificate that expires sooner than this (days) should be renewed now.
RENEW_DAYS = 30
# A PACS that needs longer (s) for a C-ECHO counts as unavailable.
ECHO_WITHIN_S = 5.0


class CheckResult(StrEnum):
    """The result of a check."""

    RIGHT = "right"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what was found, and how to correct it if it is wrong."""

    name: str
    verdict: CheckResult
    found: str
    remedy: str = ""


def examine(settings: Settings, open_database: Callable[[], Database]) -> Iterator[Check]:
    """Run every check; a check that fails never hides the next one."""
    yield from _database(open_database)
    yield _storage(settings)
    if settings.storage.url is not None:
        yield _bucket(settings)
    yield _decoders()
    yield _check_of("listener", listener_found(settings.listener, open_database, ECHO_WITHIN_S))
    yield _peers(settings)
    if settings.hl7.enabled:
        yield from _hl7(settings, open_database)
    yield from _certificates(settings)
    yield from _web(settings, open_database)
    yield _model(settings)
    if not settings.destinations:
        yield Check(
            name="destinations",
            verdict=CheckResult.LOOK,
            found="none: drafts stay here",
            remedy="add your PACS under `destinations` in the configuration",
        )
    for destination in settings.destinations:
        yield _destination(destination)
    if settings.archive is not None:
        web = settings.archive.kind == "dicomweb"
        yield (
            _check_of("archive", archive_found(settings.archive, ECHO_WITHIN_S))
            if web
            else _answers("archive", settings.archive)
        )
        if settings.backfill.enabled:
            from agent.commands.doctor_backfill import backfill_found

            yield _check_of("backfill", backfill_found(settings, settings.archive, ECHO_WITHIN_S))

    if settings.mwl is not None:
        from agent.commands.doctor_destination import worklist_found

        yield _check_of("mwl", worklist_found(settings.mwl, ECHO_WITHIN_S))


def _hl7(settings: Settings, open_database: Callable[[], Database]) -> Iterator[Check]:
    yield _check_of("hl7", port_found(settings.hl7))
    try:
        database = open_database()
        found, cure = messages_found(database)
        database.close()
    except AgentError:
        return  # the check of the database says why
    verdict = CheckResult.LOOK if cure else CheckResult.RIGHT
    yield Check(name="hl7 messages", verdict=verdict, found=found, remedy=cure)


def _right(name: str, found: str) -> Check:
    return Check(name=name, verdict=CheckResult.RIGHT, found=found)


def _wrong(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, verdict=CheckResult.WRONG, found=found, remedy=remedy)


def _check_of(name: str, found: tuple[str, str]) -> Check:
    words, cure = found
    return _wrong(name, words, cure) if cure else _right(name, words)


def _database(open_database: Callable[[], Database]) -> Iterator[Check]:
    try:
        database = open_database()
        current, head = migrate.current_revision(database), migrate.head_revision()
    except AgentError as error:
        yield _wrong("database", str(error), "start the database, or correct `database.url`")
        return
    if current != head:
        found = f"schema revision {current or 'none'}, needed {head}"
        yield _wrong("database", found, "stop the service and run `echo-agent db upgrade`")
    else:
        yield _right("database", f"{database.engine.dialect.name}, schema revision {head}")
    yield _clock(database)
    database.close()


def _clock(database: Database) -> Check:
    with database.reading() as session:
        skew = abs((SystemClock().now() - database_now(session)).total_seconds())
    if skew > CLOCK_SKEW_S:
        return _wrong(
            "clock",
            f"{skew:.0f} s away from the database's clock",
            "let both machines follow one time server (NTP)",
        )
    return _right("clock", f"{skew:.1f} s away from the database's clock")


def _storage(settings: Settings) -> Check:
    path, least = settings.storage.path, settings.storage.min_free_mb
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _wrong(
            "storage",
            f"{path}: {os.strerror(error.errno or 0)}",
            "let the service's user write there, or correct `storage.path`",
        )
    free = free_mb(path) or 0.0
    if free < least:
        return _wrong(
            "storage", f"{free:.0f} MB free", f"free space, or lower `storage.min_free_mb` ({least:.0f})"
        )
    return _right("storage", f"{path}, {free:.0f} MB free")


def _bucket(settings: Settings) -> Check:
    """Check whether the bucket stores, returns and deletes an object."""
    from agent.objects.store_s3 import RemoteStore
    from agent.service.wiring import open_store

    url = settings.storage.url
    try:
        store = open_store(settings)
        if isinstance(store, RemoteStore):
            store.probe()
    except AgentError as error:
        if (there := at_url(settings.storage.endpoint_url, ECHO_WITHIN_S)) is not None:
            return _wrong("bucket", f"{settings.storage.endpoint_url}: {there[0]}", there[1])
        return _wrong(
            "bucket",
            f"{url}: {error}",
            "check `storage.url`, `storage.endpoint_url`, the credentials of the service's user, and its "
            "rights to put, get and delete objects there",
        )
    return _right("bucket", f"{url}: an object was written, read and deleted")


def _decoders() -> Check:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import (
        JPEG2000,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLosslessSV1,
        JPEGLSLossless,
        RLELossless,
    )

    needed = (
        JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000, JPEG2000Lossless,
        RLELossless,
    )  # fmt: skip
    absent = [syntax.name for syntax in needed if not get_decoder(syntax).is_available]
    if absent:
        return _wrong(
            "decoders",
            f"none for {', '.join(absent)}",
            "install the service again: `make upgrade`",
        )
    return _right("decoders", f"{len(needed)} compressed syntaxes")


def _peers(settings: Settings) -> Check:
    listener = settings.listener
    loopback = listener.host in ("127.0.0.1", "::1", "localhost")
    if not loopback and not listener.allow:
        return Check(
            name="peers",
            verdict=CheckResult.LOOK,
            found="no peer is allowed: only this machine can send",
            remedy="list the modalities under `listener.allow`",
        )
    if loopback and any(one.address not in ("127.0.0.1", "::1") for one in listener.allow):
        return Check(
            name="peers",
            verdict=CheckResult.LOOK,
            found="peers are allowed, but the listener is bound to this machine only",
            remedy="set `listener.host` to 0.0.0.0 or to an address of this machine",
        )
    return _right("peers", f"{len(listener.allow)} allowed" if listener.allow else "this machine only")


def _certificates(settings: Settings) -> Iterator[Check]:
    now = SystemClock().now()
    for one in our_certificates(settings):
        name = f"certificate {one.path.name}"
        renew = f"renew it, put it where {one.setting} names it, and `systemctl reload` the unit"
        if one.ends is None:
            yield _wrong(
                name, f"{one.path} cannot be read", f"correct {one.setting}; the service must read it"
            )
            continue
        days = (one.ends - now).days
        if days < 0:
            yield _wrong(name, f"expired {-days} days ago: peers refuse it", renew)
        elif days < RENEW_DAYS:
            yield Check(name=name, verdict=CheckResult.LOOK, found=f"expires in {days} days", remedy=renew)
        else:
            yield _right(name, f"valid for {days} days")


def _web(settings: Settings, open_database: Callable[[], Database]) -> Iterator[Check]:
    from agent.web.app import check_protected

    web = settings.web
    where = f"{web.host}:{web.port}"
    if web.loopback:
        yield _right("worklist", f"{where}, for this machine only")
        return
    try:
        database = open_database()
        try:
            check_protected(settings, database)
        finally:
            database.close()
    except AgentError as error:
        yield _wrong(
            "worklist",
            str(error),
            "see [web-unprotected] in docs/operations.md, or keep `web.host` on loopback",
        )
        return
    yield _right("worklist", f"{where}, with sign-in and encryption")


def _model(settings: Settings) -> Check:
    from agent.service.wiring import load_reporter

    try:
        reporter = load_reporter(settings)
    except (AgentError, ModelError) as error:
        return _wrong("model", str(error), "correct `model.checkpoint` or `model.device`")
    identity = reporter.identity
    found = f"{identity.name} {identity.version}, {identity.stage}, block size {identity.block_size}"
    if not identity.demonstration:
        return _right("model", found)
    outside = [one.name for one in settings.destinations if not one.loopback]
    if outside and not settings.model.allow_demonstration:
        return _wrong(
            "model",
            f"{found}; DEMONSTRATION MODEL, and its drafts will not be sent to {', '.join(outside)}",
            "set `model.checkpoint` to a clinical one, or `model.allow_demonstration: true` for a test",
        )
    return Check(
        name="model",
        verdict=CheckResult.LOOK,
        found=f"{found}; DEMONSTRATION MODEL, not for clinical use",
        remedy="set `model.checkpoint` to a checkpoint whose licence you hold",
    )


def _destination(destination: DestinationSettings) -> Check:
    name = f"destination {destination.name}"
    if destination.kind == "dicom":
        return _answers(name, destination)
    if destination.kind == "hl7":
        return _check_of(name, receiver_found(destination, ECHO_WITHIN_S))
    if destination.kind == "fhir":
        return _check_of(name, bundles_found(destination, ECHO_WITHIN_S))
    return _check_of(name, stow_found(destination, ECHO_WITHIN_S))


def _answers(name: str, peer: DestinationSettings | ArchiveSettings) -> Check:
    """Check whether an application entity answers as configured, and a destination accepts our documents."""
    from agent.commands.doctor_destination import document_trouble, trouble_of

    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    hurried = peer.model_copy(update={"timeout_s": min(peer.timeout_s, ECHO_WITHIN_S)})
    documents = isinstance(hurried, DestinationSettings)
    # A PACS need not offer C-ECHO, but it must accept our documents.
    trouble = document_trouble(hurried) if isinstance(hurried, DestinationSettings) else trouble_of(hurried)
    if trouble is not None:
        return _wrong(name, f"{where}: {trouble[0]}", trouble[1])
    does = "accepts the SOP classes of our documents" if documents else "answers C-ECHO"
    return _right(name, f"{where} {does}{' over TLS' if peer.tls is not None else ''}")
