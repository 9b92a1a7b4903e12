"""From a path and a method to the endpoint that answers; what none answers is a problem, 404 or 405.

FastAPI describes the endpoints in OpenAPI; requests go past it. Its middleware serves what ours never do (dependencies,
form files to close, telemetry, exceptions of handlers), at 60 to 80 µs a request.
"""

from collections.abc import Sequence

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api import problems
from hub.api.endpoint import Endpoint
from hub.api.exchange import KEY, Exchange
from hub.api.frame import send_reply
from hub.domain.errors import Refusal


class Dispatch:
    """All endpoints as one ASGI application; of those that match, the first declared one answers."""

    def __init__(self, served: Sequence[tuple[Endpoint, ASGIApp]]) -> None:
        self._served = [(compile_path(endpoint.path)[0], endpoint.method, app) for endpoint, app in served]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A path that other methods have is told which ones."""
        path, method = scope["path"], scope["method"]
        methods = set()
        for pattern, taken, app in self._served:
            found = pattern.match(path)
            if found is None:
                continue
            if taken == method:
                scope["path_params"] = found.groupdict()
                await app(scope, receive, send)
                return
            methods.add(taken)
        await _refuse(scope, methods, receive, send)


async def _refuse(scope: Scope, methods: set[str], receive: Receive, send: Send) -> None:
    current: Exchange = scope[KEY]
    reply = problems.reply(Refusal("method.not_allowed" if methods else "page.not_found"), current)
    if methods:
        allowed = sorted(methods | {"HEAD"} if "GET" in methods else methods)
        reply.headers.append((b"allow", ", ".join(allowed).encode()))
    await send_reply(reply, current, receive, send)
