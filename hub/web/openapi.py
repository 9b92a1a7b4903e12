"""The OpenAPI document, generated from the declarations: access rules and every possible status."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Literal, cast

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.types import ASGIApp

from hub.domain.errors import TITLES, Refusal
from hub.web import multipart, problems
from hub.web.endpoint import JSON, PUBLIC_ACCESS, Endpoint

_REF = "#/components/schemas/"
_BEARER = "access_token"
_DPOP = "bound_access_token"
_DESCRIPTION = """\
电子证照共享平台的接口。访问令牌用 `private_key_jwt` 从 `POST /oauth/token` 取得；每个拒绝都是 RFC 9457 的
`application/problem+json`，带有固定的 `code`。

The API of the certificate hub. Get access tokens from `POST /oauth/token` with `private_key_jwt`. Every refusal is an
`application/problem+json` document (RFC 9457) with a stable `code`.
"""

_FORM = {
    "type": "object",
    "properties": {
        multipart.FIELD: {
            "type": "string",
            "format": "binary",
            "description": "PDF、JPEG 或 PNG 文件 A PDF, JPEG or PNG file",
        }
    },
    "required": [multipart.FIELD],
    "additionalProperties": False,
}

Mode = Literal["validation", "serialization"]


class ProblemError(BaseModel):
    """One invalid place in the request: JSON pointer (RFC 6901), code, and what to do."""

    pointer: str
    code: str
    message: str


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    type: Literal["about:blank"]
    status: int
    title: str
    code: str
    request_id: str
    errors: list[ProblemError]
    detail: str | None = None


async def _framed(request: Request) -> Response:
    """A placeholder for FastAPI, which expects a function; the frame serves the request (see FramedRoute)."""
    raise NotImplementedError


class FramedRoute(APIRoute):
    """A FastAPI route for matching and OpenAPI only; requests go to the frame."""

    def __init__(self, endpoint: Endpoint, served: ASGIApp) -> None:
        super().__init__(
            endpoint.path,
            _framed,
            methods=[endpoint.method],
            name=endpoint.name,
            operation_id=endpoint.name,
            tags=[endpoint.tag] if endpoint.tag else [],
            summary=endpoint.summary,
            description=endpoint.description,
            status_code=next(iter(endpoint.replies)),
            response_class=Response,
            openapi_extra=_operation(endpoint) if endpoint.documented else None,
            include_in_schema=endpoint.documented,
        )
        self.app = served
        self.declared = endpoint


def document(app: FastAPI, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The complete document; the server is the one that delivers it."""
    found = get_openapi(
        title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes, servers=[{"url": "/"}]
    )
    models: dict[tuple[type[BaseModel], Mode], None] = {(Problem, "serialization"): None}
    for endpoint in endpoints:
        if endpoint.documented:
            models.update({(model, "serialization"): None for model in endpoint.replies.values() if model})
            if endpoint.body:
                models[endpoint.body, "validation"] = None
    names, definitions = models_json_schema(list(models), ref_template=_REF + "{model}")
    named = cast(dict[tuple[type[BaseModel], Mode], dict[str, Any]], names)
    schemas = definitions.get("$defs", {})
    _rename(found, {_placeholder(*key): value["$ref"] for key, value in named.items()})
    found.setdefault("components", {})["schemas"] = dict(sorted(schemas.items()))
    found["components"]["securitySchemes"] = {
        _BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "POST /oauth/token"},
        _DPOP: {
            "type": "http",
            "scheme": "dpop",
            "description": "绑定密钥的访问令牌，请求还要带 DPoP 头（RFC 9449）"
            " An access token bound to a key; requests also carry a DPoP header (RFC 9449)",
        },
    }
    return found


def _placeholder(model: type[BaseModel], mode: Mode) -> str:
    return f"{_REF}{model.__module__}.{model.__qualname__}.{mode}"


def _rename(value: Any, names: dict[str, str]) -> None:
    """Replace the placeholder references in operations with the final schema names."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            value["$ref"] = names.get(value["$ref"], value["$ref"])
        for item in value.values():
            _rename(item, names)
    elif isinstance(value, list):
        for item in value:
            _rename(item, names)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {"responses": _responses(endpoint), "security": _security(endpoint)}
    parameters = [_parameter(name, "path", "") for name in _path_names(endpoint.path)]
    parameters += [_parameter(name, "query", text) for name, text in endpoint.query.items()]
    if parameters:
        operation["parameters"] = parameters
    content: dict[str, Any] = {}
    if endpoint.body is not None:
        schema = {"$ref": _placeholder(endpoint.body, "validation")}
        content = {media_type: {"schema": schema} for media_type in endpoint.consumes}
    if endpoint.takes_file:
        content[multipart.MEDIA_TYPE] = {"schema": _FORM}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_names(path: str) -> list[str]:
    return [piece.partition("}")[0] for piece in path.split("{")[1:]]


def _parameter(name: str, place: str, text: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}
    if text:
        parameter["description"] = text
    return parameter


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.access == PUBLIC_ACCESS:
        return []
    names = sorted(endpoint.scopes)
    return [{scheme: [name]} for scheme in (_BEARER, _DPOP) for name in names] or [{_BEARER: []}, {_DPOP: []}]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in endpoint.replies.items():
        schema = {"$ref": _placeholder(model, "serialization")} if model else {}
        content = {media_type: {"schema": schema} if media_type == JSON else {} for media_type in endpoint.produces}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    problem = {problems.MEDIA_TYPE: {"schema": {"$ref": _placeholder(Problem, "serialization")}}}
    for (status, own_form), codes in _refused(endpoint).items():
        lines = [f"`{code}` {TITLES[code][0]} {TITLES[code][1]}" for code in codes]
        known = responses.setdefault(str(status), {"description": "", "content": {}})
        known["description"] = "\n\n".join(filter(None, [known["description"], *lines]))
        known["content"].update({own_form: {}} if own_form else problem)
    return responses


def _refused(endpoint: Endpoint) -> dict[tuple[int, str], list[str]]:
    """(status, media type of the route's own refusal format or "") to codes, including those of the frame."""
    codes = list(endpoint.refusals)
    if not endpoint.is_public:
        codes += ["auth.missing", "auth.invalid", "auth.expired", "auth.replayed", "auth.clock_skew", "rate.limited"]
    if endpoint.scopes:
        codes.append("perm.scope")
    if "{" in endpoint.path:
        codes.append("page.not_found")
    if endpoint.body is not None or endpoint.takes_file:
        codes += ["upload.too_large", "upload.timeout"]
    if endpoint.takes_file:
        codes.append("rate.limited")
    codes += ["schema.invalid", "upload.unreadable", "internal", "database.unavailable", "storage.full"]
    grouped: dict[tuple[int, str], list[str]] = {}
    for code in TITLES:
        if code in codes:
            status = problems.STATUS[code]
            own_form = ""
            if endpoint.refuse is not None and status < 500:
                answer = endpoint.refuse(Refusal(code))
                status, own_form = answer.status, answer.media_type
            grouped.setdefault((status, own_form), []).append(code)
    return dict(sorted(grouped.items()))
