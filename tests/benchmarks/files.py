"""Verifying files: known ones against the empty route, CPU of unknown ones, and latency of pages during a flood.

.venv/bin/python -m tests.benchmarks.files            about a minute
"""

import json
import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from hub.parts import open_parts
from hub.store import certificates
from tests.benchmarks import city, client, server
from tests.support import pdf_bombs

PATH = "/api/v1/verifications"
ISSUED = 60
BOMBS = (
    "form_in_itself",
    "content_deflated_twice",
    "jbig2_500_regions",
    "picture_drawn_1000_times",
    "png_of_corner_marks",
)
_BOUNDARY = "x-benchmark"
Row = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds of how many pages, each calm and during both floods."""

    rounds: int = 5
    pages: int = 600


def upload(data: bytes) -> bytes:
    """The bytes of one request with a file."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    lines = [f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def issued(folder: Path) -> tuple[list[str], list[bytes]]:
    """Codes and files of some certificates."""
    city.found(folder)
    with open_parts(city.settings(folder)) as parts:
        city.fill(parts, 0, ISSUED)
        reader = parts.database.reader
        rows = reader.all("SELECT identifier FROM versions ORDER BY version_key")
        versions = [certificates.by_identifier(reader, parts.vault, row["identifier"]) for row in rows]
        codes = [version.code for version in versions if version is not None]
        return codes, [parts.rendition.of_version(version) for version in versions if version is not None]


def flood(port: int, files: list[bytes], connections: int, stop: Event, answered: "multiprocessing.Queue[int]") -> None:
    """Send unknown files until stopped; put the number of replies into the queue at the end."""
    count = 0
    while not stop.is_set():
        load = client.run(port, [upload(data) for data in files], connections)
        if set(load.statuses) - {200, 503}:
            raise RuntimeError(f"the flood was answered with {load.statuses}")
        count += load.statuses.get(200, 0)
    answered.put(count)


def during(port: int, files: list[bytes], connections: int, pages: list[bytes]) -> tuple[client.Load, float]:
    """Request pages during a flood: their latencies, and how many files per second were checked."""
    spawn = multiprocessing.get_context("spawn")
    stop, answered = spawn.Event(), spawn.Queue()
    sender = spawn.Process(target=flood, args=(port, files, connections, stop, answered))
    sender.start()
    time.sleep(3)
    begun = time.monotonic()
    load = _paced(port, pages)
    seconds = time.monotonic() - begun
    stop.set()
    count = answered.get(timeout=60)
    sender.join()
    return load, count / (seconds + 3)


def _paced(port: int, pages: list[bytes]) -> client.Load:
    """One request after another with a pause, like individual users: measures latency, not saturation."""
    latencies, statuses = [], {200: 0}
    for page in pages:
        load = client.run(port, [page], 1)
        latencies += load.latencies
        statuses[200] += load.statuses.get(200, 0)
        time.sleep(0.005)
    if statuses[200] != len(pages):
        raise RuntimeError("a page was not answered")
    return client.Load(latencies, sum(latencies), statuses, [])


def rows(plan: Plan) -> list[Row]:
    """The lines of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hub"
        codes, known = issued(folder)
        unknown = [data[:-40] + bytes([data[-40] ^ 1]) + data[-39:] for data in known]
        with server.hub(folder) as (port, pid), server.empty() as (bare_port, _):
            found = [*_known(port, bare_port, known, plan.rounds), *_unknown(port, pid, unknown)]
            asked = [
                client.request("GET", f"/v/{codes[n % len(codes)]}", accept="text/html") for n in range(plan.pages)
            ]
            client.run(port, asked[:200], 4)
            return [*found, *_flooded(port, unknown, asked, plan.rounds)]


def _flooded(port: int, unknown: list[bytes], pages: list[bytes], rounds: int) -> list[Row]:
    """The page without a flood and during each, in turn; medians over the rounds."""
    calm: list[client.Load] = []
    bombs = [pdf_bombs.BOMBS[name]() for name in BOMBS]
    floods = {"4 send unknown PDF files": (4, unknown), "32 send unknown PDF files": (32, unknown)}
    floods["4 send bombs"] = (4, bombs)
    results: dict[str, list[tuple[client.Load, float]]] = {name: [] for name in floods}
    for _ in range(rounds):
        calm.append(_paced(port, pages))
        for name, (connections, files) in floods.items():
            results[name].append(during(port, files, connections, pages))
    base = [statistics.median(load.percentile(share) for load in calm) for share in (0.5, 0.99)]
    found = []
    for name, seen in results.items():
        p50, p99 = (statistics.median(load.percentile(share) for load, _ in seen) for share in (0.5, 0.99))
        rate = statistics.median(judged for _, judged in seen)
        what = f"/v/{{code}} as page while {name} ({rate:.0f}/s judged), p50 / p99"
        wanted = "p99 ≤ 10 ms" if floods[name][0] == 4 else ""
        floor = f"{base[0]:.1f} / {base[1]:.1f} ms"
        found.append((what, f"{p50:.1f} / {p99:.1f} ms", floor, f"{p99 / base[1]:.1f}", wanted))
    return found


def _known(port: int, bare_port: int, files: list[bytes], rounds: int) -> list[Row]:
    ratios, rates, floors = [], [], []
    for _ in range(rounds):
        bare = client.run(bare_port, [client.request("GET", "/empty")] * 1200, 16)
        got = client.run(port, [upload(data) for data in files] * 10, 16)
        if got.statuses != {200: len(files) * 10}:
            raise RuntimeError(f"known files were answered with {got.statuses}")
        rates.append(got.rate)
        floors.append(bare.rate)
        ratios.append(got.rate / bare.rate)
    middle = statistics.median
    return [
        ("known PDF verified", f"{middle(rates):.0f}/s", f"{middle(floors):.0f}/s", f"{middle(ratios):.2f}", "≥ 0.3")
    ]


def _unknown(port: int, pid: int, files: list[bytes]) -> list[Row]:
    """CPU of the API process, and of its checkers with all their children, per unknown file."""
    client.run(port, [upload(files[0])] * 4, 2)
    api, all_of_them = server.cpu_s(pid), _family_cpu_s(pid)
    load = client.run(port, [upload(data) for data in files], 2, keep=True)
    api, all_of_them = server.cpu_s(pid) - api, _family_cpu_s(pid) - all_of_them
    if {json.loads(body)["state"] for body in load.bodies} != {"tampered"}:
        raise RuntimeError("an unknown file was not judged")
    count = len(files)
    figure = f"{all_of_them / count * 1000:.0f} ms CPU, of it {api / count * 1000:.1f} in the API"
    elapsed = f"{load.percentile(0.5):.0f} ms elapsed"
    return [("unknown PDF verified", figure, elapsed, "", "≤ 60 ms CPU")]


def _family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children, including those that have ended."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if pid == int(folder.name) or (pid == int(fields[1]) and b"checker" in (folder / "cmdline").read_bytes()):
                total += sum(map(int, fields[11:15] if pid != int(folder.name) else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the lines."""
    for row in rows(Plan()):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
