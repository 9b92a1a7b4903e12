"""The request's query string and body, within limits and of a declared form, before an endpoint sees them.

A body that is too large is refused from its declared length alone, or at the first byte over the limit; one that does
not arrive in time is refused too. What a client goes on sending after a refusal is thrown away for a while, because a
connection that is closed under a sender loses the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Self
from urllib.parse import parse_qsl

from hub.domain.errors import Refusal
from hub.web import multipart
from hub.web.endpoint import Endpoint
from hub.web.exchange import Exchange

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_QUERY_BYTES = 4096
MAX_QUERY_FIELDS = 32
DRAIN_S = 5.0


class Room:
    """How many bytes of bodies a process keeps at once, so that many large ones together cannot exhaust its memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0

    def take(self, count: int) -> None:
        """Make room; raises Refusal `database.unavailable` (503) when there is none."""
        if self._held + count > self._size:
            raise Refusal("database.unavailable", "正在接收的内容过多,请稍后重试")
        self._held += count

    def give_back(self, count: int) -> None:
        """What was taken is free again."""
        self._held -= count


class BodyBuffer:
    """What one request holds of a room, until the end of the block."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.room.give_back(self._held)

    def take(self, count: int) -> None:
        """As the room does."""
        self.room.take(count)
        self._held += count


class Gone(Exception):  # noqa: N818 (nobody is left to be answered)
    """The client closed the connection before its request was complete."""


def query_of(endpoint: Endpoint, query_string: bytes) -> Mapping[str, str]:
    """The declared parameters; raises Refusal `schema.invalid` for any other name, a repeated one or an odd value."""
    if not query_string:
        return {}
    if len(query_string) > MAX_QUERY_BYTES:
        raise Refusal("schema.invalid", "地址中的查询参数过长")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise Refusal("schema.invalid", "地址中的查询参数无法读取") from None
    if endpoint.stray_query:
        pairs = [pair for pair in pairs if pair[0] in endpoint.query]
    found = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= endpoint.query.keys():
        raise Refusal("schema.invalid", "地址中有未知或重复的查询参数")
    if not all(map(is_plain, found.values())):
        raise Refusal("schema.invalid", "地址中的查询参数无法读取")
    return found


def is_plain(text: str) -> bool:
    """Whether a decoded piece of an address is text that can be kept: no control characters, no broken UTF-8."""
    return not any(c < " " or c in "\x7f\ufffd" for c in text)


def declared_length(exchange: Exchange) -> int | None:
    """What the head says about the body: 0 for none, None for a length that is not known beforehand."""
    if b"transfer-encoding" in exchange.headers:
        return None
    text = exchange.header(b"content-length")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal("upload.unreadable", "Content-Length 无法读取")
    return int(text)


def media_type_of(endpoint: Endpoint, exchange: Exchange) -> str:
    """The body's media type; raises Refusal `upload.unreadable` when it is not declared or not in UTF-8."""
    if exchange.header(b"content-encoding").strip().lower() not in {"", "identity"}:
        raise Refusal("upload.unreadable", "不接受压缩的请求内容")
    media_type, _, parameters = exchange.header(b"content-type").partition(";")
    media_type = media_type.strip().lower()
    taken = (*endpoint.consumes, multipart.MEDIA_TYPE) if endpoint.takes_file else endpoint.consumes
    if media_type not in taken:
        raise Refusal("upload.unreadable", f"Content-Type 应为 {taken[0]}")
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in {"utf-8", "utf8"}:
            raise Refusal("upload.unreadable", "请求内容应为 UTF-8")
    return media_type


def refuse_too_large(length: int | None, limit: int) -> None:
    """Raise Refusal `upload.too_large` for a length over the limit."""
    if length is not None and length > limit:
        raise Refusal("upload.too_large", f"请求内容不得超过 {limit} 字节")


async def read_body(receive: Receive, buffer: BodyBuffer, limit: int, timeout_s: float) -> bytes:
    """The whole body; raises Refusal `upload.too_large`, `upload.timeout` or `database.unavailable` (no room), Gone."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                refuse_too_large(size, limit)
                buffer.take(len(chunk))
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise Refusal("upload.timeout", f"请求内容未在 {timeout_s:g} 秒内到达") from None


async def drain(receive: Receive) -> None:
    """Throw away what is still being sent, for DRAIN_S at most."""
    try:
        async with asyncio.timeout(DRAIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
