"""A TCP proxy on loopback with which a test disrupts the network between two real programs.

A mode affects both existing and new connections. The proxy forwards bytes without interpreting them, so it also
forwards TLS.
"""

import queue
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

from tests.support import ports

_CHUNK = 65536
_HELD = 256  # chunks buffered per direction before the sender blocks


class Proxy:
    """Listens on `port` of 127.0.0.1 and forwards to `target_port`; closed by close() or at the end of `with`.

    The proxy keeps its port in every mode, so that a client can reconnect.
    """

    def __init__(self, target_port: int, *, host: str = "127.0.0.1") -> None:
        self._target = (host, target_port)
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._closed = False
        self._listener: socket.socket | None = None
        self.delay_s = 0.0
        self.flows = True
        self.accepted = 0
        """Connections accepted so far."""
        self._cut_after: int | None = None
        self._cut_every = False
        self._holder = ports.hold()  # bound but never listening: reserves the port while the listener is closed
        self.port = int(self._holder.getsockname()[1])
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- modes --------------------------------------------------------------------------------------------------------

    def pass_(self) -> None:
        """Forward everything immediately; data held back by a black hole is delivered now, as with TCP."""
        self._set(flows=True, delay_s=0.0)
        self._listen()

    def delay(self, seconds: float) -> None:
        """Deliver every chunk this much later, in both directions."""
        self._set(flows=True, delay_s=seconds)
        self._listen()

    def blackhole(self) -> None:
        """Accept connections but forward nothing in either direction, until the mode changes."""
        self._set(flows=False, delay_s=0.0)
        self._listen()

    def refuse(self) -> None:
        """As if the program were gone: connections that stand are cut, new ones refused."""
        self._stop_listening()
        self._cut_all()
        self._set(flows=True, delay_s=0.0)

    def cut(self, after: int = 0, *, every: bool = False) -> None:
        """Reset the connections: at once, or as soon as one has carried `after` more bytes of replies.

        Exactly `after` bytes are forwarded; a reset may overtake data that its receiver has not read yet. With `every`,
        each connection is reset after its own `after` bytes until the mode changes; otherwise all of them are reset
        once, and later connections pass.
        """
        at_once = after == 0 and not every
        if at_once:
            self._cut_all()  # first of all: what a black hole held back must not slip through
        self._set(flows=True, delay_s=0.0)
        self._listen()
        if at_once:
            return
        with self._changed:
            for link in self._links:
                link.answered = 0
            self._cut_after, self._cut_every = after, every

    @property
    def is_to_cut(self) -> bool:
        """Whether a cut after some bytes of answers is still to come."""
        return self._cut_after is not None

    def close(self) -> None:
        """Shut down permanently; resets the connections."""
        self._closed = True
        self.refuse()
        self._holder.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _set(self, *, flows: bool, delay_s: float) -> None:
        with self._changed:
            self.flows, self.delay_s = flows, delay_s
            self._cut_after, self._cut_every = None, False
            self._changed.notify_all()

    def _stop_listening(self) -> None:
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which close() would not
        listener.close()

    def _listen(self) -> None:
        if self._listener is not None or self._closed:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._changed:
                self._links.add(link)
                gone = listener is not self._listener  # refused meanwhile
            if gone:
                link.cut()
            else:
                link.start()

    def _cut_all(self) -> None:
        with self._changed:
            links = list(self._links)
        for link in links:
            link.cut()

    def forget(self, link: "_Link") -> None:
        """Remove a connection that has ended."""
        with self._changed:
            self._links.discard(link)

    def wait_until_flowing(self, link: "_Link") -> None:
        """Return when the mode lets bytes through or the connection has been reset."""
        with self._changed:
            self._changed.wait_for(lambda: self.flows or link.dead)

    def wake(self) -> None:
        """Wake the threads that wait, after a reset."""
        with self._changed:
            self._changed.notify_all()

    def allowance(self, link: "_Link", size: int) -> tuple[int, bool]:
        """How many of these bytes of a reply to forward, and whether to reset the connection after them."""
        with self._changed:
            limit = self._cut_after
            if limit is None or link.answered + size < limit:
                link.answered += size
                return size, False
            if not self._cut_every:
                self._cut_after = None
            return max(0, limit - link.answered), True

    def cut_from(self, link: "_Link") -> None:
        """Perform the reset announced by allowance()."""
        if self._cut_every:
            link.cut()
        else:
            self._cut_all()


class _Link:
    """One connection: a reading and a writing thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._open = 2
        self._lock = threading.Lock()
        self.answered = 0
        self.dead = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(_HELD)
            threading.Thread(target=self._read, args=(source, pieces), daemon=True).start()
            threading.Thread(target=self._write, args=(pieces, sink), daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            if self.dead:
                return
            self.dead = True
        for end in (self._client, self._server):
            _reset(end)
        self._proxy.wake()
        self._proxy.forget(self)

    def _read(self, source: socket.socket, pieces: "queue.Queue[tuple[float, bytes]]") -> None:
        data = b"-"
        while data and not self.dead:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            while not self.dead:
                with suppress(queue.Full):
                    pieces.put((time.monotonic(), data), timeout=0.2)
                    break

    def _write(self, pieces: "queue.Queue[tuple[float, bytes]]", sink: socket.socket) -> None:
        while not self.dead:
            try:
                read_at, data = pieces.get(timeout=0.2)
            except queue.Empty:
                continue
            self._proxy.wait_until_flowing(self)
            time.sleep(max(0.0, read_at + self._proxy.delay_s - time.monotonic()))
            self._proxy.wait_until_flowing(self)
            if self.dead:
                return
            if not data:
                self._end(sink)
                return
            size, cut = self._proxy.allowance(self, len(data)) if sink is self._client else (len(data), False)
            try:
                sink.sendall(data[:size])
            except OSError:
                self.cut()
            if cut:
                self._proxy.cut_from(self)

    def _end(self, sink: socket.socket) -> None:
        """One side has finished sending; the other may still send."""
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            self._open -= 1
            if self._open or self.dead:
                return
            self.dead = True
        self._client.close()
        self._server.close()
        self._proxy.forget(self)


def _reset(end: socket.socket) -> None:
    """Close with RST, like a host that has lost the connection."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes the thread in recv(); the close below sends the reset
    end.close()
