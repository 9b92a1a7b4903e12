"""`/docs` and `/openapi.json`: the API documentation, served from local files only."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hub.domain.errors import Refusal
from hub.web.compression import compress, compressed
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes

_STATIC = Path(__file__).parent.parent / "static"
_FILES = {
    "swagger-ui-bundle.js": ("vendor/swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": ("vendor/swagger-ui/swagger-ui.css", "text/css"),
    "start.js": ("docs/start.js", "text/javascript"),
    "docs.css": ("docs/docs.css", "text/css"),
}
_PAGE = "docs/index.html"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets style attributes by script, which the policy treats as inline styles."""


def documentation_routes(document: Callable[[], dict[str, Any]]) -> Routes:
    """The endpoints. `document` returns the OpenAPI document."""
    routes = Routes(tag="documentation")

    @cache
    def text() -> bytes:
        return json.dumps(document(), ensure_ascii=False).encode()

    @routes.add(
        "GET",
        "/openapi.json",
        scope=PUBLIC_ACCESS,
        lane=Lane.PUBLIC,
        replies={200: None},
        summary="OpenAPI",
        documented=False,
    )
    def openapi(call: Call) -> Answer:
        """The OpenAPI document."""
        return compressed(Answer(text(), headers={"Cache-Control": "no-cache"}), call)

    @routes.add(
        "GET", "/docs", scope=PUBLIC_ACCESS, lane=Lane.PUBLIC, replies={200: None}, summary="docs", documented=False
    )
    def docs(call: Call) -> Answer:  # noqa: ARG001
        """The page with Swagger UI."""
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        return Answer(_content(_PAGE), media_type="text/html", headers=headers)

    @routes.add(
        "GET",
        "/docs/{name}",
        scope=PUBLIC_ACCESS,
        lane=Lane.PUBLIC,
        replies={200: None},
        summary="docs",
        documented=False,
    )
    def docs_file(call: Call) -> Answer:
        """A script or style of the page."""
        found = _FILES.get(call.path["name"])
        if found is None:
            raise Refusal("page.not_found")
        answer = Answer(_content(found[0]), media_type=found[1], headers={"Cache-Control": "max-age=3600"})
        return compressed(answer, call, _smaller(found[0]))

    return routes


def _content(name: str) -> bytes:
    """A static file; raises Refusal `page.not_found` if set-up has not installed it."""
    path = _STATIC / name
    if not path.is_file():
        raise Refusal("page.not_found")
    return path.read_bytes()


@cache
def _smaller(name: str) -> bytes:
    """The file in gzip, compressed once: the script has 1.7 MB, compressed 0.5 MB."""
    return compress(_content(name))
