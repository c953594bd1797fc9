"""The settings of the worklist, and of sign-in through the hospital's OpenID provider."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from agent.foundation.settings.base import Host, Port, Section, check_url, is_loopback

# How people mark blanks to fill in, and what ends a sentence.
_BLANKS = ("[", "]", "{", "}", "<", ">", "__", "...", "…")
_ENDS = ".!?。．؟।"


class OidcSettings(Section):
    """OpenID Connect: people sign in through the hospital's provider; one of their claims gives the role."""

    issuer: str = Field(
        description="Address of the provider; `/.well-known/openid-configuration` is below it.",
    )
    client_id: str = Field(min_length=1, description="Our client ID at the provider.")
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="Our client secret, best given by the environment; none for a public client.",
    )
    client_secret_file: Path | None = Field(
        None, description="File that holds the secret, readable by the service alone."
    )
    scopes: str = Field(
        "openid profile", description="The scopes that we request; `openid` must be among them."
    )
    role_claim: str = Field(
        "groups",
        min_length=1,
        description="Claim that gives the role; dots separate nested names (`realm_access.roles`).",
    )
    roles: dict[str, Literal["reader", "radiologist", "admin"]] = Field(
        min_length=1,
        description="Role for each value of the claim; of several, the first in this list counts, and a "
        "person who has none is refused.",
    )
    label: str = Field(
        "Sign in with the hospital's account", max_length=80, description="Text on the sign-in page."
    )
    timeout_s: float = Field(10, gt=0, le=60, description="Longest wait (s) for an answer from the provider.")

    @field_validator("issuer")
    @classmethod
    def _protected(cls, value: str) -> str:
        parts = urlsplit(check_url(value))
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


class TextTemplate(Section):
    """A text that a radiologist inserts into a report: whole sentences."""

    name: str = Field(min_length=1, max_length=60, description="Its name in the list of templates.")
    section: Literal["findings", "impression"] = Field(
        "findings", description="The section of the report into which it goes."
    )
    sentences: tuple[str, ...] = Field(
        min_length=1, max_length=20, description="Whole sentences, each of which becomes a line."
    )

    @field_validator("sentences")
    @classmethod
    def _whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        sentences = tuple(one.strip() for one in value)
        if any(blank in one for one in sentences for blank in _BLANKS):
            raise ValueError("a template has no blanks to fill in: one that is forgotten would be signed")
        if not all(one and one[-1] in _ENDS and len(one) <= 500 for one in sentences):
            raise ValueError(
                "a sentence of a template has a full stop at its end, and at most 500 characters"
            )
        return sentences

    @property
    def text(self) -> str:
        """The sentences, one a line, as they are inserted."""
        return "\n".join(self.sentences)


class WebSettings(Section):
    """The radiologist's worklist."""

    enabled: bool = Field(False, description="Whether `echo-agent serve` starts the web page too.")
    host: Host = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(8765, description="TCP port; 0 takes a free one.")
    require_sign_in: bool = Field(
        False, description="Ask for sign-in on loopback too; once there is a user, it is always asked for."
    )
    session_key: str = Field("", description="Key that signs the cookies; when empty, one in the database.")
    session_hours: float = Field(12, gt=0, le=168, description="Longest session (h).")
    idle_minutes: float = Field(30, gt=0, le=10_080, description="A session unused for this long (min) ends.")
    tls_certificate: Path | None = Field(None, description="PEM file: certificate and chain for HTTPS.")
    tls_key: Path | None = Field(None, description="PEM file: its private key.")
    behind_proxy: bool = Field(
        False, description="A proxy in front of us speaks HTTPS; its X-Forwarded headers are trusted."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names under which browsers may reach us, besides `host` and the loopback names."
    )
    oidc: OidcSettings | None = Field(
        None,
        description="Sign-in through an OpenID provider, in addition to the local users; none when left out.",
    )
    claim_minutes: float = Field(
        15,
        gt=0,
        le=240,
        description="A claim of a study ends when its reader has done nothing for this long (min).",
    )
    templates: tuple[TextTemplate, ...] = Field(
        (), max_length=100, description="Texts that can be inserted into a report."
    )
    organization: str = Field(
        "", description="Organization of the verifying observers; the image's institution when empty."
    )

    metrics_token: str = Field(
        "", description="Bearer token for /metrics; when empty, only this machine may read them."
    )

    @field_validator("templates")
    @classmethod
    def _distinct(cls, value: tuple[TextTemplate, ...]) -> tuple[TextTemplate, ...]:
        names = [one.name.casefold() for one in value]
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise ValueError(f"two templates have one name: {twice[0]}")
        return value

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("`tls_certificate` and `tls_key` go together: give both or neither")
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the page; a proxy in front of it serves other machines."""
        return is_loopback(self.host) and not self.behind_proxy
