"""The web application: every endpoint, inside a middleware that counts, logs and handles exceptions."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

import hub
from hub.api import (
    cases,
    catalogue,
    certificates,
    counter,
    directory,
    lifecycle,
    pages,
    tokens,
    verifications,
    well_known,
)
from hub.api.docs import documentation_routes
from hub.api.health import Watched, gauges, operator_routes
from hub.domain.errors import Refusal
from hub.parts import Parts
from hub.runtime import logs
from hub.web import exchange, problems
from hub.web.endpoint import Routes
from hub.web.exchange import KEY, Exchange
from hub.web.frame import Rooms, Served, send_reply
from hub.web.lanes import open_lanes
from hub.web.metrics import Metrics
from hub.web.openapi import FramedRoute, document

_MODULES = (pages, verifications, cases, counter, directory, certificates, lifecycle, catalogue, tokens, well_known)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_log = logs.get("http")


class Shell:
    """Outermost middleware: request id, one log line and one count per request, and the last exception handler."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; HEAD is a GET whose body the server drops."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        current = exchange.read(scope["method"], scope["headers"])
        inner = {**scope, KEY: current, "method": "GET" if current.method == "HEAD" else current.method}
        try:
            await self._app(inner, receive, send)
        except Exception as error:  # noqa: BLE001 (outermost: every exception becomes a reply and a log line)
            _log.error("fault", request_id=current.request_id, route=current.route, **logs.where(error))
            if not current.status:
                await send_reply(problems.reply(Refusal("internal"), current), current, receive, send)
        finally:
            self._note(current, time.perf_counter() - started)

    def _note(self, current: Exchange, seconds: float) -> None:
        method = current.method if current.method in _METHODS else "other"
        self._metrics.count(method, current.route, current.status, seconds)
        note = _log.debug if current.route in _QUIET else _log.info
        note(
            "request",
            method=method,
            route=current.route,
            status=current.status,
            ms=round(seconds * 1000, 2),
            client=current.client,
            code=current.code,
            request_id=current.request_id,
        )


class _Refused:
    """Replies for unmatched requests: 404 and 405, as problem documents."""

    def __init__(self, refusal: Refusal, allow: str = "") -> None:
        self._refusal = refusal
        self._allow = allow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current: Exchange = scope[KEY]
        reply = problems.reply(self._refusal, current)
        if self._allow:
            reply.headers.append((b"allow", self._allow.encode()))
        await send_reply(reply, current, receive, send)


def create_app(parts: Parts) -> FastAPI:
    """The hub's application with these parts."""
    return build(parts, [module.routes for module in _MODULES])


def build(parts: Parts, declared: Sequence[Routes]) -> FastAPI:
    """An application with these routes and the operator's; `app.state.endpoints` lists all its endpoints."""
    lanes = open_lanes(parts.settings)
    rooms = Rooms(parts.settings)
    metrics = Metrics(lambda: gauges(parts, lanes))
    app = FastAPI(
        title="电子证照共享平台 Certificate hub",
        version=hub.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    operator = operator_routes(Watched(lanes, metrics, parts.clock.now()))
    documentation = documentation_routes(lambda: document(app, endpoints))
    endpoints = [item for routes in (*declared, operator, documentation) for item in routes.endpoints]
    app.state.endpoints = endpoints
    app.state.lanes = lanes
    app.router.routes.extend(FramedRoute(endpoint, Served(endpoint, parts, lanes, rooms)) for endpoint in endpoints)
    app.add_exception_handler(HTTPException, _unanswered)
    app.add_middleware(Shell, metrics=metrics)
    return app


async def _unanswered(request: Request, error: Exception) -> Any:
    """Replaces Starlette's own 404 and 405; `Allow` lists every method of the path."""
    if not (isinstance(error, HTTPException) and error.status_code == 405):
        return _Refused(Refusal("page.not_found"))
    return _Refused(Refusal("method.not_allowed"), ", ".join(_allowed(request.app.routes, request.scope["path"])))


def _allowed(routes: Iterable[Any], path: str) -> list[str]:
    methods = {route.declared.method for route in routes if route.path_regex.match(path)}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
