"""Sign-in through the hospital's OpenID provider: code flow with PKCE, state and nonce, using Authlib.

An ID token is accepted only if it is signed by one of the provider's keys with an asymmetric algorithm,
issued by this issuer for this client in answer to this browser's request, and not expired.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from agent.foundation.errors import OpenIdRefused, OpenIdUnavailable, SettingsError
from agent.foundation.settings.web import OidcSettings
from agent.web.accounts import Role

WELL_KNOWN = "/.well-known/openid-configuration"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# The clocks may differ by this much (s).
LEEWAY_S = 60
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signed in; `role` is None for a person without a role."""

    subject: str
    name: str
    person_name: str
    role: Role | None


class OpenId:
    """The client of the OpenID provider."""

    def __init__(self, settings: OidcSettings) -> None:
        self.label = settings.label
        self._settings = settings
        self._client = OAuth().register(
            name="provider",
            client_id=settings.client_id,
            client_secret=_secret(settings) or None,
            server_metadata_url=settings.issuer + WELL_KNOWN,
            client_kwargs={
                "scope": settings.scopes,
                "code_challenge_method": "S256",
                "timeout": settings.timeout_s,
            },
        )

    async def begin(self, request: Request, back: str) -> Response:
        """Redirect a browser to the provider; state, nonce and code verifier are kept in its short session.

        Raises:
            OpenIdUnavailable: the provider does not answer, or its issuer is not the configured one.
        """
        await self._metadata()
        answer: Response = await self._client.authorize_redirect(request, back)
        return answer

    async def finish(self, request: Request) -> Identity:
        """Return the identity that the provider states.

        Raises:
            OpenIdRefused: the provider refused, or its answer is not valid.
            OpenIdUnavailable: the provider does not answer.
        """
        await self._metadata()
        options = {
            "iss": {"essential": True, "value": self._client.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self._settings.client_id},
            "nonce": {"essential": True},
        }
        try:
            token = await self._client.authorize_access_token(
                request, claims_options=options, leeway=LEEWAY_S
            )
            claims: dict[str, Any] = dict(token.get("userinfo") or {})
            if not claims:
                raise OpenIdRefused("the provider's answer does not say who signed in")
            if _values(claims, self._settings.role_claim) == ():
                claims = await self._with_userinfo(claims, token)
        except httpx2.HTTPError as error:
            raise OpenIdUnavailable("the sign-in provider does not answer; try again later") from error
        except (OAuthError, JoseError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise OpenIdRefused("the provider's answer is not valid; sign in again") from error
        return identity_of(claims, self._settings)

    async def _with_userinfo(self, claims: dict[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims, completed with those that only the userinfo endpoint returns."""
        if "userinfo_endpoint" not in self._client.server_metadata:
            return claims
        more = dict(await self._client.userinfo(token=token))
        if more.get("sub") != claims["sub"]:
            raise OpenIdRefused("the provider's two answers are about different people")
        return more | claims

    async def _metadata(self) -> None:
        """Load the provider's metadata, and drop the signing algorithms that are not accepted."""
        try:
            metadata = await self._client.load_server_metadata()
        except (httpx2.HTTPError, ValueError) as error:
            raise OpenIdUnavailable("the sign-in provider does not answer; try again later") from error
        if str(metadata.get("issuer", "")).rstrip("/") != self._settings.issuer:
            self._client.server_metadata.clear()
            raise OpenIdUnavailable("the provider states another issuer than web.oidc.issuer")
        said = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [one for one in said if one in ALGORITHMS]


def identity_of(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """Return the identity in an ID token's claims; the name in DICOM notation (PN)."""
    subject = str(claims["sub"])
    login = str(claims.get("preferred_username") or claims.get("email") or subject)
    family, given = str(claims.get("family_name") or ""), str(claims.get("given_name") or "")
    whole = "^".join((_plain(family), _plain(given))).strip("^ ") or _plain(str(claims.get("name") or ""))
    given_values = _values(claims, settings.role_claim)
    role = next((role for value, role in settings.roles.items() if value in given_values), None)
    return Identity(
        subject=f"{settings.issuer}|{subject}"[:512],
        name=login.lower()[:LONGEST_NAME],
        person_name=(whole or _plain(login))[:LONGEST_NAME],
        role=None if role is None else Role(role),
    )


def _values(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the values of a claim, one or a list; a name with dots is first tried as a whole."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return (found,)
    if isinstance(found, Iterable) and not isinstance(found, Mapping):
        return tuple(str(one) for one in found)
    return ()


def _plain(words: str) -> str:
    """Return a name component without the delimiters of PN."""
    return "".join(" " if one in "^\\=" or ord(one) < 32 else one for one in words).strip()


def _secret(settings: OidcSettings) -> str:
    if settings.client_secret_file is None:
        return settings.client_secret.get_secret_value()
    try:
        return settings.client_secret_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"web.oidc.client_secret_file cannot be read: {os.strerror(error.errno or 0)}"
        ) from error
