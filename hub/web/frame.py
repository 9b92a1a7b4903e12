"""The frame around every endpoint: authentication, reading the request, running in a lane, and refusals.

The event loop reads heads and bodies and writes responses. Token check, endpoint and serialisation run together in one
thread of the endpoint's lane.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from hub.access.dpop import InvalidProof, Proof
from hub.domain.caller import Caller
from hub.domain.errors import Refusal
from hub.parts import Parts
from hub.runtime.logs import REQUEST_ID
from hub.settings import Settings
from hub.store.audit import AuditEntry
from hub.web import multipart, problems
from hub.web import request_body as bodies
from hub.web.allowances import Allowances
from hub.web.endpoint import ANY_TOKEN, Call, Endpoint, Lane, Later
from hub.web.exchange import KEY, Exchange
from hub.web.lanes import Lanes
from hub.web.request_body import BodyBuffer, Gone, Receive, Room
from hub.web.response import Reply, render
from hub.web.senders import Senders

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_TOKEN_BYTES = 8192
_WITHOUT_BODY = frozenset({204, 304})


LARGE_BODIES = 16
SMALL_BODIES_BYTES = 64 * 1024 * 1024


class Rooms:
    """Memory limits for bodies: small ones from any caller, large ones from authenticated clients, and files."""

    def __init__(self, settings: Settings) -> None:
        self.small = Room(SMALL_BODIES_BYTES)
        self.large = Room(LARGE_BODIES * settings.max_body_bytes)
        files = settings.files_at_once + settings.files_waiting
        largest = settings.max_file_bytes + multipart.ENVELOPE_BYTES
        self.files = Room(files * largest, settings.files_per_address * largest)


class ByAddress(NamedTuple):
    """The limits by address, shared by all endpoints."""

    senders: Senders
    allowances: Allowances


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that the event loop has read, ready for a thread.

    proven: its token and its proof, which is good for one use, were accepted before the body was read.
    """

    exchange: Exchange
    token: str
    path: dict[str, str]
    query: dict[str, str]
    body: bytes = b""
    content_type: str = ""
    sender: str = ""
    proof: Proof | None = None
    proven: bool = False


class Served:
    """One endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, parts: Parts, lanes: Lanes, rooms: Rooms, by_address: ByAddress) -> None:
        self.endpoint = endpoint
        self._parts = parts
        self._lanes = lanes
        self._rooms = rooms
        self._senders, self._allowances = by_address
        settings = parts.settings
        self._limit = settings.max_public_body_bytes if endpoint.is_public else settings.max_body_bytes
        self._file_limit = settings.max_file_bytes + multipart.ENVELOPE_BYTES
        self._small = min(settings.max_public_body_bytes, self._limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange: Exchange = scope[KEY]
        exchange.route = self.endpoint.path
        try:
            with BodyBuffer(self._rooms.small) as buffer:
                reply = await self._run(await self._read(scope, receive, exchange, buffer))
        except Refusal as refusal:
            reply = problems.reply(refusal, exchange, self.endpoint)
            reply.close = refusal.code.startswith("upload.")
        except problems.FAULTS as fault:
            reply = problems.reply(problems.refusal_of(fault), exchange, self.endpoint)
        except Gone:
            exchange.code = "gone"
            return
        await send_reply(reply, exchange, receive, send)

    async def _read(self, scope: Scope, receive: Receive, exchange: Exchange, buffer: BodyBuffer) -> _Request:
        endpoint = self.endpoint
        token, proof = ("", _proof(exchange, scope)) if endpoint.is_public else credentials(exchange, scope)
        sender = self._senders.of(scope) if endpoint.lane is Lane.TOKEN else ""
        path: dict[str, str] = scope["path_params"]
        if not all(map(bodies.is_plain, path.values())):
            raise Refusal("page.not_found")
        query = dict(bodies.query_of(endpoint, scope["query_string"]))
        length = bodies.declared_length(exchange)
        request = _Request(exchange, token, path, query, sender=sender, proof=proof)
        if length == 0:
            return request
        if (endpoint.body is None and not endpoint.takes_file) or exchange.repeated:
            raise Refusal("upload.unreadable", "此地址不接受请求内容")
        content_type = bodies.media_type_of(endpoint, exchange)
        limit = self._limit
        if content_type == multipart.MEDIA_TYPE:
            limit, buffer.room, buffer.sender = self._file_limit, self._rooms.files, self._senders.of(scope)
            request = replace(request, sender=buffer.sender)
        bodies.refuse_too_large(length, limit)
        self._lanes[endpoint.lane].check()
        if token and (length is None or length > self._small):
            # Accept megabytes only with a valid token. Small bodies avoid this additional trip to a thread.
            await self._lanes[Lane.READ].run(self._caller, request)
            request = replace(request, proven=True)
            buffer.room = self._rooms.large
        raw = await bodies.read_body(receive, buffer, limit, self._parts.settings.body_timeout_s)
        return replace(request, body=raw, content_type=content_type)

    async def _run(self, request: _Request) -> Reply:
        if self.endpoint.lane is Lane.LOOP:
            done = self._work(request)
        else:
            done = await self._lanes[self.endpoint.lane].run(self._work, request, sender=request.sender)
        if not isinstance(done, Later):
            return done
        request_id, sender = request.exchange.request_id, request.sender
        del request  # frees the body: the remaining work has the file
        with self._allowances.place(sender):
            return await self._lanes[done.lane].run(_finish, done, request_id)

    def _work(self, request: _Request) -> Reply | Later:
        exchange = request.exchange
        REQUEST_ID.set(exchange.request_id)
        # Even if it was accepted before the body: that takes a while, and the client may have been disabled since.
        caller = self._caller(request) if request.token else None
        file: bytes | None = None
        if request.content_type == multipart.MEDIA_TYPE:
            file = multipart.file_in(exchange.header(b"content-type"), request.body)
            bodies.refuse_too_large(len(file), self._parts.settings.max_file_bytes)
        call = Call(
            parts=self._parts,
            caller=caller,
            path=request.path,
            query=request.query,
            body=request.body if file is None else b"",
            content_type=request.content_type,
            accept=exchange.header(b"accept"),
            english=exchange.english,
            request_id=exchange.request_id,
            accept_encoding=exchange.header(b"accept-encoding"),
            host=exchange.header(b"host"),
            if_none_match=exchange.header(b"if-none-match"),
            file=file,
            spend=partial(self._allowances.spend, request.sender),
            sender=request.sender,
            proof=request.proof,
        )
        done = self.endpoint.handler(call)
        return done if isinstance(done, Later) else render(done)

    def _caller(self, request: _Request) -> Caller:
        """The authenticated caller with a scope for this endpoint; a missing scope is refused and recorded."""
        exchange = request.exchange
        access = self._parts.access
        found = access.again(request.token) if request.proven else access.caller(request.token, request.proof)
        caller = replace(found, request=exchange.request_id)
        exchange.client = caller.client_id
        endpoint = self.endpoint
        if endpoint.access != ANY_TOKEN and not (endpoint.scopes & caller.scopes):
            action = f"{endpoint.method} {endpoint.path}"
            with self._parts.audit.of(AuditEntry(action, caller.client_id, request=exchange.request_id)):
                raise Refusal("perm.scope")
        return caller


def _finish(later: Later, request_id: str) -> Reply:
    REQUEST_ID.set(request_id)
    return render(later.work())


def credentials(exchange: Exchange, scope: Scope) -> tuple[str, Proof | None]:
    """The access token from the head, with the scheme Bearer (RFC 6750 §2.1), or DPoP and a proof (RFC 9449 §7.1).

    Raises Refusal `auth.missing` or `auth.invalid`.
    """
    value = exchange.header(b"authorization")
    if not value:
        raise Refusal("auth.missing")
    scheme, _, token = value.partition(" ")
    token = token.strip()
    known = scheme.lower() in {"bearer", "dpop"}
    if exchange.repeated or not known or not token or len(value) > MAX_TOKEN_BYTES:
        raise Refusal("auth.invalid")
    if scheme.lower() == "bearer":
        return token, None
    proof = _proof(exchange, scope)
    if proof is None:
        raise InvalidProof("请求应带 DPoP 头")
    return token, proof


def _proof(exchange: Exchange, scope: Scope) -> Proof | None:
    text = exchange.header(b"dpop")
    return Proof(text, exchange.method, scope["path"]) if text else None


async def send_reply(reply: Reply, exchange: Exchange, receive: Receive, send: Send) -> None:
    """Write a response. If it ends an upload early, drain the rest of the body before closing the connection."""
    exchange.status = reply.status
    headers = [*reply.headers, (b"x-request-id", exchange.request_id.encode())]
    if reply.status not in _WITHOUT_BODY:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    if reply.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": reply.close})
    if reply.close:
        await bodies.drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
