"""Checks settings that are valid one by one: files, ports, names, and what others can read.

`stops`: the service would not start, or would not do what the settings say; it is refused at the start and at
a reload. The rest is for `config check`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commands.configuration.files import file_findings
from agent.commands.configuration.finding import Finding
from agent.commands.configuration.urgency import urgency_findings
from agent.commands.configuration.web_peers import credential_findings
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.tree import Settings

if TYPE_CHECKING:
    from model.findings.vocabulary import Vocabulary

_ALL = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    """The address of one of our ports; `setting` is the path of the port's setting."""

    setting: str
    host: str
    port: int


def findings(settings: Settings, config: Path | None, vocabulary: Vocabulary | None = None) -> list[Finding]:
    """Return everything that is wrong, with what stops the service first.

    vocabulary: that of the settings; the one in force if it is left out.
    """
    found = [
        *urgency_findings(settings, vocabulary),
        *_sockets(settings),
        *_peers(settings),
        *_web(settings),
        *_times(settings),
        *_bucket(settings),
        *_models(settings),
        *file_findings(settings, config),
        *credential_findings(settings),
    ]
    return sorted(found, key=lambda one: not one.stops)


def _listening(settings: Settings) -> list[_Socket]:
    """Return the addresses of the enabled ports; a worklist may be a separate process."""
    listener, ups = settings.listener, settings.ups
    found = [_Socket(setting="listener.port", host=listener.host, port=listener.port)]
    if listener.stow is not None:
        stow = listener.stow
        found.append(_Socket(setting="listener.stow.port", host=stow.host, port=stow.port))
    if settings.hl7.enabled:
        found.append(_Socket(setting="hl7.port", host=settings.hl7.host, port=settings.hl7.port))
    if ups.enabled or "ups" in settings.model_fields_set:
        found.append(_Socket(setting="ups.port", host=listener.host, port=ups.port))
        found.append(_Socket(setting="ups.http_port", host=ups.http_host, port=ups.http_port))
    found.append(_Socket(setting="web.port", host=settings.web.host, port=settings.web.port))
    return [one for one in found if one.port]


def _sockets(settings: Settings) -> Iterator[Finding]:
    ours = _listening(settings)
    for number, one in enumerate(ours):
        for other in ours[:number]:
            if one.port == other.port and _meet(one.host, other.host):
                yield Finding(
                    place=one.setting,
                    text=f"`{other.setting}` is {one.port} too, and one program has a port",
                    cure="give them two ports",
                    stops=settings.web.enabled or "web.port" not in (one.setting, other.setting),
                )
    peers: list[tuple[str, str, int]] = [
        (f"destinations[{number}]", one.host, one.port)
        for number, one in enumerate(settings.destinations)
        if one.host and one.kind != "stow"
    ]
    if settings.archive is not None and settings.archive.host:
        peers.append(("archive", settings.archive.host, settings.archive.port))
    for place, host, port in peers:
        for one in (one for one in ours if one.setting != "web.port"):
            if port == one.port and is_loopback(host) and (is_loopback(one.host) or one.host in _ALL):
                text = f"this is our own `{one.setting}`: documents would be sent to ourselves"
                yield Finding(place=f"{place}.port", text=text, cure="name the PACS's port", stops=True)


def _meet(one: str, other: str) -> bool:
    if one == other or one in _ALL or other in _ALL:
        return True
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return is_loopback(one) and is_loopback(other)


def _peers(settings: Settings) -> Iterator[Finding]:
    seen: dict[tuple[str, int, str] | str, int] = {}
    for number, one in enumerate(settings.destinations):
        key = one.web_url or (
            one.host.lower(),
            one.port,
            one.ae_title.strip() if one.kind == "dicom" else one.kind,
        )
        if key in seen:
            text = f"destinations[{seen[key]}] is the same PACS: it would get every document twice"
            yield Finding(place=f"destinations[{number}]", text=text, cure="remove one of the two")
        seen.setdefault(key, number)
    listener = settings.listener
    far = [one for one in listener.allow if one.address and not is_loopback(one.address.partition("/")[0])]
    if far and is_loopback(listener.host):
        yield Finding(
            place="listener.host",
            text="peers of other machines are under `listener.allow`, but only this machine can reach it",
            cure="set it to 0.0.0.0 or to an address of this machine",
        )


def _web(settings: Settings) -> Iterator[Finding]:
    web = settings.web
    if not web.loopback and not web.behind_proxy and web.tls_certificate is None:
        yield Finding(
            place="web.host",
            text="other machines could reach the worklist, and passwords would go in clear",
            cure="set `web.tls_certificate` and `web.tls_key`, or `web.behind_proxy`, or use 127.0.0.1",
        )


def _times(settings: Settings) -> Iterator[Finding]:
    studies, worker, delivery = settings.studies, settings.worker, settings.delivery
    pairs = (
        ("studies.quiet_time_s", studies.quiet_time_s, "studies.force_after_s", studies.force_after_s),
        (
            "studies.stat_quiet_time_s",
            studies.stat_quiet_time_s,
            "studies.quiet_time_s",
            studies.quiet_time_s,
        ),
        ("worker.first_retry_s", worker.first_retry_s, "worker.longest_retry_s", worker.longest_retry_s),
        (
            "delivery.first_retry_s",
            delivery.first_retry_s,
            "delivery.longest_retry_s",
            delivery.longest_retry_s,
        ),
        ("web.idle_minutes", settings.web.idle_minutes, "web.session_hours", 60 * settings.web.session_hours),
    )
    for place, least, other, most in pairs:
        if least > most:
            yield Finding(
                place=place, text=f"it is longer than `{other}`", cure="make it the shorter of the two"
            )


def _bucket(settings: Settings) -> Iterator[Finding]:
    if settings.storage.url is not None and find_spec("s3fs") is None:
        text = "the client for S3-compatible stores is not installed"
        yield Finding(place="storage.url", text=text, cure="install the service with `EXTRAS=s3`", stops=True)


def _models(settings: Settings) -> Iterator[Finding]:
    path = settings.model.checkpoint
    if path is None:
        return
    try:
        names = {one.name for one in path.iterdir()}
    except OSError as error:
        text = f"the directory cannot be read: {os.strerror(error.errno or 0)}"
        yield Finding(place="model.checkpoint", text=text, cure="name the checkpoint's directory")
        return
    if "config.json" not in names:
        text = "the directory contains no checkpoint (config.json is missing)"
        yield Finding(place="model.checkpoint", text=text, cure="`echo-model inspect DIR` says what is wrong")
