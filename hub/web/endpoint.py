"""Declarations of endpoints: who may call them, in which lane they run, what they read and what they return.

`hub.web.frame` runs the declared endpoints, `hub.web.openapi` describes them, and `hub.app` collects them. Everything
relevant to security is an explicit argument, so that nothing is open by default and tests can check all endpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from hub.access.dpop import Proof
from hub.domain.caller import SCOPES, Caller
from hub.domain.errors import TITLES, Refusal
from hub.parts import Parts

PUBLIC_ACCESS = "public"
ANY_TOKEN = "any"  # noqa: S105 (the name of a rule)
JSON = "application/json"


class Lane(StrEnum):
    """Separate limits, so that a queue in one lane never delays the others.

    FILE: reading unknown files, which takes long; see Later. OPERATOR: health and metrics, which must work when
    everything else is busy. TOKEN: access tokens; one address has only a share of the places. LOOP: no thread; only for
    handlers that never block.
    """

    WRITE = "write"
    READ = "read"
    PUBLIC = "public"
    FILE = "file"
    OPERATOR = "operator"
    TOKEN = "token"  # noqa: S105 (a lane)
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Call:
    """The request as an endpoint sees it.

    path: the values of the template, percent-decoded. query: declared names only, each at most once. body: complete,
    within its limit, of a declared type (`content_type`, lower case, without parameters), not parsed. file: the file of
    a form, if the endpoint accepts one and one was sent; body is then empty. accept: the Accept header. english: the
    client prefers English to Chinese. accept_encoding, host, if_none_match: these headers as sent (untrusted), or "".
    spend: charges the sender's address with CPU seconds of a file checker. sender: that address, in the TOKEN lane.
    proof: the DPoP header, for the endpoint that issues tokens.
    """

    parts: Parts
    caller: Caller | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    content_type: str
    accept: str
    english: bool
    request_id: str
    accept_encoding: str = ""
    host: str = ""
    if_none_match: str = ""
    file: bytes | None = None
    spend: Callable[[float], None] = lambda _: None
    sender: str = ""
    proof: Proof | None = None

    @property
    def client(self) -> Caller:
        """The authenticated client, on a route that requires a token; its `request` is the id of this request."""
        if self.caller is None:
            raise RuntimeError("a public endpoint has no client")
        return self.caller


@dataclass(frozen=True, slots=True)
class Answer:
    """The response: a JSON value, or text or bytes of another media type.

    Headers given here override those of the frame (`Cache-Control: no-store`, Content-Security-Policy, ...).
    """

    content: Any
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Later:
    """Returned instead of an answer: long-running work for another lane, so that it does not block this one."""

    lane: Lane
    work: Callable[[], Answer]


Handler = Callable[[Call], Answer | Later]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One declared endpoint; see `Routes.add` for the fields."""

    method: str
    path: str
    handler: Handler
    tag: str
    access: str
    scopes: frozenset[str]
    lane: Lane
    body: type[BaseModel] | None
    consumes: tuple[str, ...]
    takes_file: bool
    query: Mapping[str, str]
    stray_query: bool
    replies: Mapping[int, type[BaseModel] | None]
    produces: tuple[str, ...]
    refusals: tuple[str, ...]
    refuse: Callable[[Refusal], Answer] | None
    summary: str
    description: str
    documented: bool

    @property
    def is_public(self) -> bool:
        """Whether it can be called without a token."""
        return self.access == PUBLIC_ACCESS

    @property
    def name(self) -> str:
        """The stable operation id for OpenAPI."""
        return self.handler.__name__


class Routes:
    """The endpoints of one module in declaration order; the first match wins."""

    def __init__(self, prefix: str = "", tag: str = "") -> None:
        self.prefix = prefix
        self.tag = tag
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        scope: str | tuple[str, ...],
        lane: Lane,
        summary: str,
        replies: Mapping[int, type[BaseModel] | None],
        body: type[BaseModel] | None = None,
        consumes: tuple[str, ...] = (JSON,),
        takes_file: bool = False,
        query: Mapping[str, str] | None = None,
        stray_query: bool = False,
        produces: tuple[str, ...] = (JSON,),
        refusals: tuple[str, ...] = (),
        refuse: Callable[[Refusal], Answer] | None = None,
        description: str = "",
        documented: bool = True,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as an endpoint; it runs in a thread of its lane.

        scope: one scope, several alternatives, ANY_TOKEN or PUBLIC_ACCESS. body: a model that documents the body and
        makes the frame read it (limits of size and time, media types in `consumes`); the endpoint parses `call.body`.
        takes_file: also accepts a form with one file (`call.file`), with a separate size limit. query: names with
        descriptions; other names are refused, or ignored with stray_query (for links that people share, to which
        messengers append parameters). replies: status to model, None for no fixed schema; produces: their media types.
        refusals: the endpoint's own codes; OpenAPI adds those of the frame. refuse: a format other than problem+json
        for refusals below 500 (as in RFC 6749). documented: included in OpenAPI. GET also serves HEAD. Raises
        ValueError for an invalid declaration.
        """
        access, scopes = _access(scope)
        unknown = sorted(set(refusals) - set(TITLES))
        if unknown or not replies or not path.startswith("/"):
            raise ValueError(f"{method} {path}: {unknown or 'replies and a path from / are required'}")

        def declare(handler: Handler) -> Handler:
            self.endpoints.append(
                Endpoint(
                    method=method,
                    path=self.prefix + path,
                    handler=handler,
                    tag=self.tag,
                    access=access,
                    scopes=scopes,
                    lane=lane,
                    body=body,
                    consumes=consumes,
                    takes_file=takes_file,
                    query=query or {},
                    stray_query=stray_query,
                    replies=replies,
                    produces=produces,
                    refusals=refusals,
                    refuse=refuse,
                    summary=summary,
                    description=description or (handler.__doc__ or ""),
                    documented=documented,
                )
            )
            return handler

        return declare


def _access(scope: str | tuple[str, ...]) -> tuple[str, frozenset[str]]:
    if scope in {PUBLIC_ACCESS, ANY_TOKEN}:
        return str(scope), frozenset()
    scopes = frozenset((scope,) if isinstance(scope, str) else scope)
    if not scopes or not scopes <= SCOPES:
        raise ValueError(f"unknown scope among {sorted(scopes)}")
    return "scope", scopes
