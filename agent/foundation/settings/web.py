"""The settings of sign-in at a hospital's own OpenID provider."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from agent.foundation.settings.base import Section, is_loopback


class OidcSettings(Section):
    """OpenID Connect: people sign in at the hospital's provider, and a claim of theirs gives the role."""

    issuer: str = Field(
        description="Address of the provider; `/.well-known/openid-configuration` stands below it.",
    )
    client_id: str = Field(min_length=1, description="Our name at the provider.")
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="Our secret there, best given by the environment; none for a public client.",
    )
    client_secret_file: Path | None = Field(
        None, description="File that holds the secret, readable by the service alone."
    )
    scopes: str = Field("openid profile", description="What we ask for; `openid` must be among it.")
    role_claim: str = Field(
        "groups",
        min_length=1,
        description="Claim that gives the role; dots lead inwards (`realm_access.roles`).",
    )
    roles: dict[str, Literal["reader", "radiologist", "admin"]] = Field(
        min_length=1,
        description="Role for each value of the claim; of several the first in this list counts, and whoever "
        "has none is refused.",
    )
    label: str = Field(
        "Sign in with the hospital's account", max_length=80, description="Words on the sign-in page."
    )
    timeout_s: float = Field(10, gt=0, le=60, description="Longest wait (s) for an answer of the provider.")

    @field_validator("issuer")
    @classmethod
    def _protected(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname:
            raise ValueError("an issuer is https://HOST with a path at most")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("an issuer is reached by https; http is for a provider on this machine alone")
        return value.rstrip("/")

    @field_validator("scopes")
    @classmethod
    def _with_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("`openid` must be among the scopes")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.client_secret.get_secret_value() and self.client_secret_file is not None:
            raise ValueError("give `client_secret` or `client_secret_file`, not both")
        return self
