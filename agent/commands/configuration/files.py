"""Checks the files named in the settings: whether they exist, fit together, and are private."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from agent.commands.configuration.finding import Finding
from agent.foundation.settings.shape import shown_place, values_of
from agent.foundation.settings.tree import Settings

# Written by the service itself, or checked elsewhere.
_NOT_READ = ("storage.path", "audit.file", "model.checkpoint")
_SECRET_FILES = ("key", "tls_key", "syslog_key", "client_secret_file", "token_file", "password_file")
_PAIRS = {"key": "certificate", "tls_key": "tls_certificate", "syslog_key": "syslog_certificate"}
_OTHERS_READ = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def file_findings(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """Yield what is wrong with the files."""
    for place, section, value in values_of(settings):
        name = shown_place(place)
        if not isinstance(value, Path) or name in _NOT_READ:
            continue
        fault = _fault(value)
        if fault is not None:
            yield Finding(
                place=name, text=f"{value}: {fault}", cure="correct the path, or put the file there"
            )
            continue
        key = str(place[-1])
        if key in _SECRET_FILES and _open_to_others(value):
            yield Finding(place=name, text=f"others can read {value}", cure=f"chmod 600 {value}")
        partner = getattr(section, _PAIRS[key], None) if key in _PAIRS else None
        if isinstance(partner, Path) and _fault(partner) is None:
            yield from _pair(name, partner, value)
        elif "authorities" in key or ("certificate" in key and key not in _PAIRS.values()):
            yield from _authorities(name, value)
    if config is not None and config.is_file() and _open_to_others(config):
        for name in _secrets(settings, config):
            yield Finding(
                place=name,
                text=f"{config} contains a secret, and others can read it",
                cure=f"chmod 640 {config}, or give it by the environment",
            )


def _fault(path: Path) -> str | None:
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return os.strerror(error.errno or 0)


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS_READ)


def _pair(name: str, certificate: Path, key: Path) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a password would prompt for it on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        what = "is not the key of" if mismatch else "cannot be used with"
        text = f"{key} {what} {certificate}"
        yield Finding(place=name, text=text, cure="both are PEM files; the key has no password")


def _authorities(name: str, path: Path) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        yield Finding(place=name, text=f"{path} has no certificate", cure="name a PEM file of certificates")


def _secrets(settings: Settings, config: Path) -> Iterator[str]:
    """Yield the settings whose secret is in the file itself."""
    text = config.read_text(encoding="utf-8", errors="replace")
    oidc = settings.web.oidc
    secrets = {
        "database.url": make_url(settings.database.url).password,
        "log.hash_key": settings.log.hash_key,
        "web.session_key": settings.web.session_key,
        "web.metrics_token": settings.web.metrics_token,
        "web.oidc.client_secret": "" if oidc is None else oidc.client_secret.get_secret_value(),
    }
    yield from (name for name, secret in secrets.items() if secret and str(secret) in text)
