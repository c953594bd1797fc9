"""Structured logs that cannot carry patient data: event names and allow-listed fields only.

A keyed hash identifies the study. The loggers of pynetdicom, pydicom and highdicom are silenced below
CRITICAL, because they print attribute values and whole exceptions.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sys
import warnings
from collections.abc import MutableMapping
from typing import Any

import structlog

from agent.foundation.settings.tree import LogSettings

# A field that is not listed here is dropped, and its name is listed under `dropped`.
ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "role", "job_id", "delivery_id", "draft_id", "state", "from_state",
        "code", "retryable", "duration_ms", "study_ref", "revision", "attempts", "destination", "status",
        "count", "host", "port", "ae_title", "size_bytes", "device", "dtype", "model", "rule", "reason_code",
        "free_mb", "forwards", "tokens", "slots", "signal", "pid", "error_type", "where", "schema", "what",
        "address", "seconds", "dropped",
    }
)  # fmt: skip
QUIETED_LIBRARIES = (
    "pynetdicom",
    "pydicom",
    "highdicom",
    "apscheduler",
    "alembic",
    "sqlalchemy",
    "PIL",
    "transformers",
)

_key = secrets.token_bytes(32)


def use_hash_key(key: str) -> None:
    """Use this key for `study_ref` from now on; all processes of one service share it."""
    global _key
    _key = key.encode()


def study_ref(study_instance_uid: str) -> str:
    """Return the reference to a study in logs: 12 hex digits of a keyed hash of its UID."""
    return hmac.new(_key, study_instance_uid.encode(), hashlib.sha256).hexdigest()[:12]


def _allow_listed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = sorted(set(event) - ALLOWED_FIELDS)
    for name in dropped:
        del event[name]
    if dropped:
        event["dropped"] = ",".join(dropped)
    return event


def silence_libraries() -> None:
    """Silence the libraries' loggers and warnings, which quote attribute values."""
    for name in QUIETED_LIBRARIES:
        library = logging.getLogger(name)
        library.setLevel(logging.CRITICAL)
        library.propagate = False
        library.handlers = [logging.NullHandler()]
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\.|$)")


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog on standard error and silence the libraries' loggers."""
    if settings.hash_key:
        use_hash_key(settings.hash_key)
    silence_libraries()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _allow_listed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        # Look up standard error for each line: it may have been replaced since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(role: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one part of the service."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(role=role)
    return logger
