"""The section `credentials`: how we sign in to a server over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from agent.foundation.settings.base import Section
from agent.foundation.settings.delivery import ClientTlsSettings

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class HttpCredentials(Section):
    """A bearer token, or a user name with a password. The settings never contain the secret itself."""

    token_file: Path | None = Field(
        None,
        description="File that holds a bearer token, readable by the service alone; it is read again for "
        "every session, so that a renewed token needs no restart.",
    )
    token_variable: str | None = Field(
        None, pattern=_VARIABLE, description="Environment variable that holds a bearer token."
    )
    username: str = Field("", description="User name for HTTP Basic.")
    password_file: Path | None = Field(
        None, description="File that holds the password of `username`, readable by the service alone."
    )
    password_variable: str | None = Field(
        None, pattern=_VARIABLE, description="Environment variable that holds the password of `username`."
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        token = [one for one in (self.token_file, self.token_variable) if one]
        password = [one for one in (self.password_file, self.password_variable) if one]
        if len(token) + len(password) != 1:
            raise ValueError(
                "give one of `token_file`, `token_variable`, `password_file` and `password_variable`"
            )
        if bool(password) != bool(self.username):
            raise ValueError("`username` and a password (`password_file`, `password_variable`) go together")
        if ":" in self.username:
            raise ValueError("a user name of HTTP Basic has no colon (RFC 7617)")
        return self


def check_encrypted(url: str | None, tls: ClientTlsSettings | None) -> None:
    """Refuse TLS settings that an address would ignore.

    Raises:
        ValueError: the address is not https.
    """
    if tls is not None and url is not None and not url.startswith("https:"):
        raise ValueError("`tls` needs an https address")
