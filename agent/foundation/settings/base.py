"""The base of every section of the settings, and types that several of them use."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import ip_address
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

# Ten years: longer times overflow what databases and timers can add.
LONGEST_S = 315_360_000.0
LONGEST_DAYS = 36_500.0
_HOST = re.compile(r"[\w.:%-]+")


def _title(value: str) -> str:
    if not value.strip():
        raise ValueError("an AE title cannot consist of spaces only (PS3.5 6.2)")
    return value


def _host(value: str) -> str:
    """Return a host name or address if it has no scheme, port or path."""
    if not value:
        return value
    if "://" in value:
        raise ValueError("give the host alone, without a scheme such as http://")
    name, colon, port = value.rpartition(":")
    if colon and port.isdigit() and ":" not in name.strip("[]"):
        raise ValueError(f"the port is a setting of its own: `host: {name}` and `port: {port}`")
    if value.startswith("["):
        raise ValueError("give an IPv6 address without brackets")
    if _HOST.fullmatch(value) is None:
        raise ValueError("a host name has letters, digits, dots and dashes; no spaces and no path")
    if ":" in value or value.replace(".", "").isdigit():
        try:
            ip_address(value.partition("%")[0])
        except ValueError:
            raise ValueError("this is neither a host name nor an IP address") from None
    return value


AeTitle = Annotated[
    str,
    Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$"),
    AfterValidator(_title),
]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_S)]
Days = Annotated[float, Field(gt=0, le=LONGEST_DAYS)]


class Section(BaseModel):
    """A section of the settings: frozen, and strict about its keys and values."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number belongs, and invisible characters."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and not _takes_bool(field.annotation):
            raise ValueError("`true`, `false`, `yes` and `no` are no value for this; text goes in quotes")
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str):
                check_printable(text)
        return value


def check_printable(text: str) -> None:
    r"""Refuse control characters and lone surrogates.

    The usual cause is a regular expression in double quotes, where YAML reads `\b` as a backspace.

    Raises:
        ValueError: there is one.
    """
    odd = next((one for one in text if unicodedata.category(one) in ("Cc", "Cs")), None)
    if odd is not None:
        raise ValueError(
            f"it holds the control character U+{ord(odd):04X}: in YAML, a text with backslashes goes in "
            "single quotes"
        )


def check_url(value: str) -> str:
    """Return a URL that has a host, and a port that can be one.

    Raises:
        ValueError: it has not.
    """
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("the address is malformed: its port is a number up to 65535") from None
    if not parts.hostname or port == 0:
        raise ValueError("the address needs a host name")
    _host(parts.hostname)
    return value


# The URL of a server; a password comes from netrc, never from the URL.
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/@\s]+(/\S*)?$"), AfterValidator(check_url)]


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or annotation is Any or any(_takes_bool(one) for one in get_args(annotation))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
