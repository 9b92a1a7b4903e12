"""The web application: every endpoint in its frame, inside a shell that counts, logs and catches the unexpected."""

import time
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

import hub
from hub import logs
from hub.api import (
    cases,
    catalogue,
    certificates,
    counter,
    directory,
    exchange,
    lifecycle,
    pages,
    problems,
    published,
    tokens,
    verifications,
)
from hub.api.dispatch import Dispatch
from hub.api.docs import documentation_routes
from hub.api.document import FramedRoute, document
from hub.api.endpoint import Routes
from hub.api.exchange import KEY, Exchange
from hub.api.frame import Rooms, Served, send_reply
from hub.api.health import Watched, gauges, operator_routes
from hub.api.lanes import open_lanes
from hub.domain.errors import Refusal
from hub.metrics import Metrics
from hub.parts import Parts

_MODULES = (pages, verifications, cases, counter, directory, certificates, lifecycle, catalogue, tokens, published)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_log = logs.get("http")


class Shell:
    """Outside of everything: request id, one log line and one count a request, and the last resort for faults."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; HEAD is a GET whose body the server leaves out."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        current = exchange.read(scope["method"], scope["headers"])
        inner = {**scope, KEY: current, "method": "GET" if current.method == "HEAD" else current.method}
        try:
            await self._app(inner, receive, send)
        except Exception as error:  # noqa: BLE001 (the edge: every fault becomes an answer and a line in the log)
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


class Application(FastAPI):
    """FastAPI for OpenAPI alone: `served` gets every request as it arrives, without FastAPI's own middleware."""

    served: ASGIApp

    def build_middleware_stack(self) -> ASGIApp:
        """Nothing but ours."""
        return self.served


def create_app(parts: Parts) -> Application:
    """The hub's application on these parts."""
    return build(parts, [module.routes for module in _MODULES])


def build(parts: Parts, declared: Sequence[Routes]) -> Application:
    """An application of these routes and the operator's; `app.state.endpoints` lists everything that it answers."""
    lanes = open_lanes(parts.settings)
    rooms = Rooms(parts.settings)
    metrics = Metrics(lambda: gauges(parts, lanes))
    app = Application(
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
    app.router.routes.extend(map(FramedRoute, endpoints))
    app.served = Shell(Dispatch([(one, Served(one, parts, lanes, rooms)) for one in endpoints]), metrics)
    return app
