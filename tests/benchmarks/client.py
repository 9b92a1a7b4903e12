"""A small HTTP/1.1 load generator: prepared requests over persistent connections, one request at a time on each."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a run: seconds of each request, total wall-clock seconds, statuses by count, and bodies if kept."""

    latencies: list[float]
    wall_s: float
    statuses: dict[int, int]
    bodies: list[bytes]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.wall_s

    def percentile(self, share: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def request(method: str, path: str, *, token: str = "", body: bytes = b"", accept: str = "*/*") -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {accept}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, requests: Sequence[bytes], connections: int, *, keep: bool = False) -> Load:
    """Send all requests, spread over `connections`; raises RuntimeError for a reply that is not HTTP."""
    return asyncio.run(_run(port, requests, connections, keep))


async def _run(port: int, requests: Sequence[bytes], connections: int, keep: bool) -> Load:
    latencies = [0.0] * len(requests)
    bodies = [b""] * len(requests)
    statuses: dict[int, int] = {}
    order = iter(range(len(requests)))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for place in order:
            begun = time.perf_counter()
            writer.write(requests[place])
            status, body = await _answer(reader)
            latencies[place] = time.perf_counter() - begun
            statuses[status] = statuses.get(status, 0) + 1
            if keep:
                bodies[place] = body
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    return Load(latencies, time.perf_counter() - begun, statuses, bodies)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(head[9:12]), await reader.readexactly(length) if length else b""
