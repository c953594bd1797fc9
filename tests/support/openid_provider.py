"""A small OpenID provider on loopback: real codes, PKCE, tokens signed with a JWK; it lies when asked to."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, SECRET = "echo-agent", "a secret between two programs"
PERSON = {
    "sub": "0815",
    "preferred_username": "rod",
    "family_name": "Roe",
    "given_name": "Rod",
    "groups": ["staff", "rad"],
}


@functools.cache
def _key() -> RSAKey:
    """Making one takes a tenth of a second."""
    return RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})


@dataclass(slots=True, kw_only=True)
class Provider:
    """The provider's behaviour, which a test may change."""

    url: str = ""
    key: RSAKey = field(default_factory=_key)
    # The claims about the person, and values that replace correct ones in the token.
    person: dict[str, Any] = field(default_factory=lambda: dict(PERSON))
    lies: dict[str, Any] = field(default_factory=dict)
    # What its userinfo endpoint returns instead of the person.
    userinfo: dict[str, Any] | None = None
    signs_with: RSAKey | None = None
    # A forger's algorithm instead of a signature: none, or HS256 with the public key as the secret.
    forges: str = ""
    calls_itself: str = ""
    without_id_token: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """Its metadata."""
        return {
            "issuer": self.calls_itself or self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Sign the person in without any input; return the redirect back."""
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return the token for a code once, to a client that knows secret and verifier; otherwise None."""
        expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
        begun = self.codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if begun is None or authorization != expected or challenge != begun.get("code_challenge"):
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": begun["nonce"]}
        claims |= self.person | self.lies
        if self.forges:
            signed = _forged(self.forges, claims, self.key.as_pem(private=False))
        else:
            signed = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.signs_with or self.key)
        answer: dict[str, Any] = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300}
        return answer if self.without_id_token else answer | {"id_token": signed}


def _forged(algorithm: str, claims: dict[str, Any], public: bytes) -> str:
    parts = [json.dumps(one).encode() for one in ({"alg": algorithm, "kid": "1"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in parts)
    mark = hmac.digest(public, text, "sha256") if algorithm == "HS256" else b""
    return f"{text.decode()}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            self.send_response(302)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.send_header("location", self.provider.authorize(asked))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        answers: dict[str, Any] = {
            "/.well-known/openid-configuration": self.provider.metadata,
            "/jwks": lambda: {"keys": [self.provider.key.as_dict(private=False)]},
            "/userinfo": lambda: self.provider.userinfo or self.provider.person,
        }
        self._say(answers[parts.path]() if parts.path in answers else None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self._say(self.provider.token(asked, self.headers.get("authorization", "")))

    def _say(self, value: Any) -> None:
        body = json.dumps(value if value is not None else {"error": "invalid_grant"}).encode()
        self.send_response(200 if value is not None else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free port of the loopback interface."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="openid", daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()
