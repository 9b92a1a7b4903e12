"""The whole hub in a network namespace with only a loopback: `unshare -n python -m tests.support.offline FOLDER`.

Sets up a city, serves it, runs the README's story against it and reads every page. Prints the results as JSON.
"""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections import ChainMap
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.ops.test_serve import wait_for
from tests.support.ports import free_port
from tests.test_story import type_readme

HUB = [sys.executable, "-m", "hub"]
PUBLIC_URL = "https://hub.invalid"  # not resolvable: reveals code that connects to the hub's public address
PAGES = ("/", "/v", "/v/0000000000000000", "/docs", "/openapi.json", "/.well-known/jwks.json", "/metrics")
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING))


def attempts() -> int:
    """How often a process in this namespace tried to leave it, or queried a name server that does not exist here."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    old = {f"{names[0]}{name}": value for names, values in zip(lines[::2], lines[1::2], strict=True)
           for name, value in zip(names[1:], values[1:], strict=True)}  # fmt: skip
    new = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    counted = ChainMap(old, new)
    return sum(int(counted[name]) for name in ("Ip:OutNoRoutes", "Udp:NoPorts", "Ip6OutNoRoutes", "Udp6NoPorts"))


def try_to_leave() -> str:
    """The error of a connection to an outside address."""
    with socket.socket() as sock:
        sock.settimeout(5)
        try:
            sock.connect(("192.0.2.1", 443))
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
    return "connected"


def read_pages(address: str) -> dict[str, int]:
    """The status of every page and of everything that pages refer to."""
    found: dict[str, int] = {}
    wanted = list(PAGES)
    with httpx.Client(base_url=address, trust_env=False, follow_redirects=False) as client:
        while wanted:
            path = wanted.pop()
            answer = client.get(path)
            found[path] = answer.status_code
            if answer.headers["content-type"].startswith("text/html"):
                links = re.findall(r'(?:src|href|action)="(?!data:)([^"]*)"', answer.text)
                wanted += {urljoin(path, link) for link in links} - found.keys() - set(wanted)
    return found


def is_ready(address: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == 200
    return False


def live(folder: Path) -> dict[str, Any]:
    port = free_port()
    address, data = f"http://127.0.0.1:{port}", folder / "data"
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    environment = {**os.environ, "HUB_DATA_DIR": str(data)}
    subprocess.run([*HUB, "init"], env={**environment, "HUB_PUBLIC_URL": PUBLIC_URL}, check=True, capture_output=True)
    subprocess.run([*HUB, "sample", "load"], env=environment, check=True, capture_output=True)
    with (folder / "hub.log").open("wb") as log:
        serving = subprocess.Popen([*HUB, "serve", "--port", str(port)], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: serving.poll() is not None or is_ready(address), 60)
        wait_for((data / "worker.heartbeat").exists)
        return {"story": type_readme(folder, port), "pages": read_pages(address)}
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait(30)


def main() -> None:
    bring_up_loopback()
    seen: dict[str, Any] = {"interfaces": [name for _, name in socket.if_nameindex()]}
    seen |= live(Path(sys.argv[1]))
    seen["attempts"] = attempts()
    seen["outside"] = try_to_leave()
    seen["attempts_then"] = attempts()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
