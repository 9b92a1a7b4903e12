"""OpenAPI from the declarations: exact about who may call and about every status that can come back."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Literal, cast

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.api import multipart, problems
from hub.api.endpoint import JSON, PUBLIC_ACCESS, Endpoint
from hub.domain.errors import TITLES, Refusal

_REF = "#/components/schemas/"
_BEARER = "access_token"
_DESCRIPTION = """\
电子证照共享平台的接口。访问令牌用 `private_key_jwt` 从 `POST /oauth/token` 取得;每个拒绝都是 RFC 9457 的
`application/problem+json`,带固定的 `code`。

The hub's API. Access tokens come from `POST /oauth/token` with `private_key_jwt`; every refusal is
`application/problem+json` (RFC 9457) with a stable `code`.
"""

_FORM = {
    "type": "object",
    "properties": {multipart.FIELD: {"type": "string", "format": "binary", "description": "PDF、JPEG 或 PNG"}},
    "required": [multipart.FIELD],
    "additionalProperties": False,
}

Mode = Literal["validation", "serialization"]


class ProblemError(BaseModel):
    """One place in the request: JSON pointer (RFC 6901), code, what to do."""

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
    """Stands in FastAPI's place for a function with parameters; requests never come here (hub.api.dispatch)."""
    raise NotImplementedError


class FramedRoute(APIRoute):
    """A FastAPI route for OpenAPI alone."""

    def __init__(self, endpoint: Endpoint) -> None:
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


def document(app: FastAPI, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole document; its server is wherever it was read from."""
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
        _BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "POST /oauth/token"}
    }
    return found


def _placeholder(model: type[BaseModel], mode: Mode) -> str:
    return f"{_REF}{model.__module__}.{model.__qualname__}.{mode}"


def _rename(value: Any, names: dict[str, str]) -> None:
    """Put the names that the schemas got in the place of those that the operations used."""
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
    return [{_BEARER: [scope]} for scope in sorted(endpoint.scopes)] or [{_BEARER: []}]


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
    """(status, media type of the route's own form or "") to codes, those of the frame included."""
    codes = list(endpoint.refusals)
    if not endpoint.is_public:
        codes += ["auth.missing", "auth.invalid", "auth.expired", "rate.limited"]
    if endpoint.scopes:
        codes.append("perm.scope")
    if "{" in endpoint.path:
        codes.append("page.not_found")
    if endpoint.body is not None or endpoint.takes_file:
        codes += ["upload.too_large", "upload.timeout"]
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
