"""How an endpoint is declared: who may call it, in which lane it runs, what it reads and what it answers.

Declarations only. `hub.web.frame` runs them, `hub.web.openapi` describes them in OpenAPI, `hub.app` collects them.
Everything that matters for safety is an explicit argument, so that nothing is open by default and a test can walk
over all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from hub.domain.caller import SCOPES, Caller
from hub.domain.errors import TITLES, Refusal
from hub.parts import Parts

PUBLIC_ACCESS = "public"
ANY_TOKEN = "any"  # noqa: S105 (the name of a rule)
JSON = "application/json"


class Lane(StrEnum):
    """Separate limits, so that a queue in one never delays the others.

    FILE is for reading strangers' files, which takes long: see Later. OPERATOR is for health and metrics, which must
    answer when everything else is busy. LOOP is no thread at all: only for what touches nothing and never waits.
    """

    WRITE = "write"
    READ = "read"
    PUBLIC = "public"
    FILE = "file"
    OPERATOR = "operator"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Call:
    """Everything that an endpoint may know about the request.

    path: the values of the template, percent-decoded. query: declared names only, each at most once. body: complete
    and within its limit, of one of the declared types (`content_type`, lower case, without parameters), not parsed.
    file: the one file of a form, where the endpoint takes one and one was sent; body is then empty.
    accept: the Accept header as sent. english: the caller prefers English to Chinese.
    accept_encoding, host, if_none_match: those headers as sent, "" where absent; not to be trusted.
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

    @property
    def client(self) -> Caller:
        """Who calls, on a route that asks for a token; `request` is this request's id."""
        if self.caller is None:
            raise RuntimeError("a public endpoint has no client")
        return self.caller


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: anything JSON can say, or text or bytes of another media type.

    Headers given here win over those that the frame sets (`Cache-Control: no-store`, Content-Security-Policy, ...).
    """

    content: Any
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Later:
    """Instead of an answer: work that takes long, to be done in another lane, so that it holds no thread here."""

    lane: Lane
    work: Callable[[], Answer]


Handler = Callable[[Call], Answer | Later]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One declared endpoint; the arguments are those of `Routes.add`."""

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
        """Whether it answers without a token."""
        return self.access == PUBLIC_ACCESS

    @property
    def name(self) -> str:
        """The operation's stable name, for OpenAPI."""
        return self.handler.__name__


class Routes:
    """The endpoints of one module, in the order of their declaration; the first that matches answers."""

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
        """Declare the decorated plain function as an endpoint; it runs in a thread of its lane.

        scope: one scope, several of which any one does, ANY_TOKEN or PUBLIC_ACCESS. body: a model that documents the
        body and makes the frame read it (size, time, media type of `consumes`); the endpoint parses `call.body`
        itself. takes_file: a form with one file is taken too (`call.file`), up to a limit of its own. query: name to
        description; every other name is refused, or with stray_query ignored (for addresses that people pass on:
        messengers append names of their own). replies: status to model, None for no fixed form;
        produces: their media types. refusals: codes of its own; those of the frame are added to OpenAPI by itself.
        refuse: another form than problem+json for every refusal of this route below 500 (RFC 6749 has one).
        documented: listed in OpenAPI. GET answers HEAD too. Raises ValueError for a declaration that makes no sense.
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
