"""Query string and body of a request, checked against limits and declarations before an endpoint sees them.

A body that is too large is refused because of its declared length, or at the first byte over the limit; a body that
does not arrive in time is refused as well. After a refusal, further data is discarded for a while: closing a connection
while the client is sending would lose the response.
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
    """Limits the total size of bodies in memory, so that many large ones cannot exhaust it."""

    def __init__(self, size: int, share: int | None = None) -> None:
        """share: how much of it one sender may hold, where senders are distinguished."""
        self._size = size
        self._share = size if share is None else share
        self._held = 0
        self._held_by: dict[str, int] = {}

    def take(self, count: int, sender: str = "") -> None:
        """Reserve bytes; raises Refusal `database.unavailable` (503) if there is not enough room, and `rate.limited`
        (429) if it is the sender who takes it.
        """
        if self._held + count > self._size:
            raise Refusal("database.unavailable", "正在接收的内容太多，请稍后重试")
        held = self._held_by.get(sender, 0) + count
        if held > self._share:
            raise Refusal("rate.limited", "此地址正在上传的文件太多，请稍后再试", retry_after=1)
        self._held += count
        self._held_by[sender] = held

    def give_back(self, count: int, sender: str = "") -> None:
        """Release reserved bytes."""
        self._held -= count
        left = self._held_by.pop(sender, 0) - count
        if left > 0:
            self._held_by[sender] = left


class BodyBuffer:
    """The bytes that one request has reserved; released at the end of the block."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.sender = ""
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.room.give_back(self._held, self.sender)

    def take(self, count: int) -> None:
        """Reserve bytes in the room."""
        self.room.take(count, self.sender)
        self._held += count


class Gone(Exception):  # noqa: N818 (not an error: there is no client to answer)
    """The client closed the connection before its request was complete."""


def query_of(endpoint: Endpoint, query_string: bytes) -> Mapping[str, str]:
    """The declared parameters; raises Refusal `schema.invalid` for unknown or repeated names and invalid values."""
    if not query_string:
        return {}
    if len(query_string) > MAX_QUERY_BYTES:
        raise Refusal("schema.invalid", "地址里的查询参数太长")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise Refusal("schema.invalid", "地址里的查询参数读不出来") from None
    if endpoint.stray_query:
        pairs = [pair for pair in pairs if pair[0] in endpoint.query]
    found = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= endpoint.query.keys():
        raise Refusal("schema.invalid", "地址里有未知或重复的查询参数")
    if not all(map(is_plain, found.values())):
        raise Refusal("schema.invalid", "地址里的查询参数读不出来")
    return found


def is_plain(text: str) -> bool:
    """Whether a decoded part of a URL is plain text: no control characters and no invalid UTF-8."""
    return not any(c < " " or c in "\x7f\ufffd" for c in text)


def declared_length(exchange: Exchange) -> int | None:
    """The declared length of the body: 0 for no body, None if unknown in advance."""
    if b"transfer-encoding" in exchange.headers:
        return None
    text = exchange.header(b"content-length")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal("upload.unreadable", "Content-Length 读不出来")
    return int(text)


def media_type_of(endpoint: Endpoint, exchange: Exchange) -> str:
    """The media type of the body; raises Refusal `upload.unreadable` if it is not declared or not UTF-8."""
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
    """Raise Refusal `upload.too_large` if the length exceeds the limit."""
    if length is not None and length > limit:
        raise Refusal("upload.too_large", f"请求内容不得超过 {limit} 字节")


async def read_body(receive: Receive, buffer: BodyBuffer, limit: int, timeout_s: float) -> bytes:
    """Read the body; raises Gone or Refusal `upload.too_large`, `upload.timeout`, `database.unavailable` (no room)."""
    body = bytearray()  # not a list: ten million chunks of one byte would take 400 MB
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk: bytes = message.get("body", b"")
                refuse_too_large(len(body) + len(chunk), limit)
                buffer.take(len(chunk))
                is_last = not message.get("more_body", False)
                if is_last and not body:
                    return chunk
                body += chunk
                if is_last:
                    return bytes(body)
    except TimeoutError:
        raise Refusal("upload.timeout", f"请求内容没有在 {timeout_s:g} 秒内传完") from None


async def drain(receive: Receive) -> None:
    """Discard incoming data, for at most DRAIN_S."""
    try:
        async with asyncio.timeout(DRAIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
