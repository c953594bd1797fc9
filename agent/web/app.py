"""The web application: routes, and the process that serves them."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent.database.service_keys import WEB_SESSION, service_key
from agent.database.session import Database
from agent.foundation.errors import AgentError, DatabaseUnavailable, NotFound, WebUnprotected
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings, WebSettings
from agent.objects.store import InstanceStore
from agent.web import pages_claim, pages_list, pages_shadow, pages_sign_in, pages_study
from agent.web.accounts import any_user_may_sign_in
from agent.web.films import Films
from agent.web.gate import Gate
from agent.web.limits import MAXIMUM_HEAD, STREAM, BodyLimits, BoundedProtocol, RequestLimits
from agent.web.openid import OpenId
from agent.web.operations import Operations
from agent.web.sessions import Sessions
from agent.web.site import OPENID_COOKIE, Site, make_templates
from agent.web.throttle import Throttle

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings, database: Database, store: InstanceStore) -> Starlette:
    """Return the application."""
    web = settings.web
    key = web.session_key or _kept_key(database)
    site = Site(
        settings=settings,
        database=database,
        store=store,
        films=Films(store),
        sessions=Sessions(database, key, hours=web.session_hours, idle_minutes=web.idle_minutes),
        throttle=Throttle(),
        templates=make_templates(),
        openid=None if web.oidc is None else OpenId(web.oidc),
    )
    app = Starlette(
        routes=[
            Route("/", pages_list.worklist),
            Route(STREAM, pages_list.live),
            Route("/statistics", pages_list.statistics),
            Route("/shadow", pages_shadow.figures),
            Route("/shadow/disagreements", pages_shadow.disagreements),
            Route("/shadow/disagreements/{comparison_id:int}", pages_shadow.disagreement),
            Route("/audit", pages_list.audited),
            Route("/sign-in", pages_sign_in.sign_in_form),
            Route("/sign-in", pages_sign_in.sign_in, methods=["POST"]),
            Route("/session", pages_sign_in.session),
            Route("/sign-out", pages_sign_in.sign_out, methods=["POST"]),
            _openid_routes(web, key),
            Route("/findings", pages_study.findings, methods=["POST"]),
            Route("/templates/check", pages_study.template_check, methods=["POST"]),
            Route("/studies/{study_id:int}", pages_study.study),
            Route("/studies/{study_id:int}/state", pages_claim.state),
            Route("/studies/{study_id:int}/claim", pages_claim.shown),
            Route("/studies/{study_id:int}/claim", pages_claim.claim_study, methods=["POST"]),
            Route("/studies/{study_id:int}/release", pages_claim.release_study, methods=["POST"]),
            Route("/studies/{study_id:int}/compare", pages_study.comparison),
            Route("/studies/{study_id:int}/films/{instance_id:int}", pages_study.film),
            Route("/studies/{study_id:int}/verdict", pages_study.judge, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(BodyLimits),
            Middleware(Operations, site=site),
            Middleware(RequestLimits),
            Middleware(Gate, site=site),
        ],
        exception_handlers={HTTPException: _on_http, AgentError: _on_error},
    )
    app.state.site = site
    return app


def _kept_key(database: Database) -> str:
    """Return the key in the database; if that does not answer, a key for the lifetime of this process."""
    try:
        return service_key(database, WEB_SESSION)
    except AgentError as error:
        get_logger("web").warning("session_key_not_kept", code=error.code)
        return secrets.token_urlsafe(32)


def _openid_routes(web: WebSettings, key: str) -> Mount:
    """The routes to the provider and back, with a ten-minute session for state, nonce and code verifier.

    Its cookie is SameSite=Lax: on the way back from another site the browser sends no Strict cookie.
    """
    short = Middleware(
        SessionMiddleware,
        secret_key=f"openid {key}",
        session_cookie=OPENID_COOKIE,
        path="/sign-in/openid",
        max_age=600,
        same_site="lax",
        https_only=web.tls_certificate is not None or web.behind_proxy,
    )
    routes = [Route("/", pages_sign_in.openid_begin), Route("/back", pages_sign_in.openid_back)]
    return Mount("/sign-in/openid", routes=routes, middleware=[short])


def _on_http(_request: Request, error: Any) -> Response:
    return PlainTextResponse(error.detail, error.status_code, headers=error.headers)


def _on_error(_request: Request, error: Any) -> Response:
    status = 404 if isinstance(error, NotFound) else 503 if isinstance(error, DatabaseUnavailable) else 422
    return PlainTextResponse(str(error), status)


def check_protected(settings: Settings, database: Database) -> None:
    """Refuse to be reachable from other machines without sign-in and encryption.

    Raises:
        WebUnprotected: other machines reach the page, and a user, or TLS, is missing.
    """
    web = settings.web
    if web.loopback:
        return
    if web.oidc is None and not any_user_may_sign_in(database):
        raise WebUnprotected(
            "nobody can sign in: add a user with `echo-agent user add`, or use loopback without a proxy"
        )
    if not web.behind_proxy and (web.tls_certificate is None or web.tls_key is None):
        raise WebUnprotected("passwords would be sent unencrypted: set web.tls_certificate and web.tls_key")


def serve(app: Starlette, settings: Settings, stop: threading.Event, started: threading.Event) -> None:
    """Serve until `stop` is set."""
    web = settings.web
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=web.host,
            port=web.port,
            log_config=None,
            access_log=False,  # URLs contain search terms
            server_header=False,
            proxy_headers=web.behind_proxy,
            ssl_certfile=web.tls_certificate,
            ssl_keyfile=web.tls_key,
            timeout_graceful_shutdown=2,
            http=BoundedProtocol,
            h11_max_incomplete_event_size=MAXIMUM_HEAD,
            ws="none",
        )
    )
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.wait(0.2):
        if server.started:
            started.set()
    server.should_exit = True
    thread.join(10)
