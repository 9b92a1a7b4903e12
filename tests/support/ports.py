"""Ports for the servers that tests start: kept from every other program of the machine, also while a server is down.

A port that was only looked up may be another connection's a moment later. One that is bound here and never listened on
is given to no other program, and a server that binds with SO_REUSEADDR, as all of ours do, may have it.
"""

import socket

_held: list[socket.socket] = []


def hold() -> socket.socket:
    """A free port, held until the socket is closed."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def free_port() -> int:
    """A free port, held until this process ends."""
    _held.append(hold())
    return int(_held[-1].getsockname()[1])
