"""Measure the hub and its floors, print the table and, with --write, put it into docs/performance.md.

.venv/bin/python -m tests.benchmarks            about two minutes
.venv/bin/python -m tests.benchmarks --large    with 100,000 certificates, about ten minutes
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hub.parts import open_parts
from tests.benchmarks import city, client, directory, files, floors, server
from tests.benchmarks.access import token

DOCUMENT = server.ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
CONNECTIONS = 16
ROUNDS = 5
ISSUED = 600


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    floor: str
    ratio: str
    wanted: str


def measure(large: bool) -> list[Row]:
    """Every row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = city.found(folder / "hub")
        with server.hub(folder / "hub") as (port, pid), server.empty() as (bare_port, _):
            access = token(city.settings(folder / "hub"), city.CLIENT, port, key)
            rounds = [measure_round(n, folder, port, pid, bare_port, access) for n in range(ROUNDS)]
            rows = summarised(rounds)
            rows += memory(port, pid, access, already=ROUNDS * ISSUED)
            way = directory.on_its_way(folder / "hub", port, access)
        p50, p99 = way["p50"], way["p99"]
        rows.append(Row("issued → in the directory, p50 / p99", f"{p50:.0f} / {p99:.0f} ms", "", "", "p99 < 300 ms"))
        rows += [Row(*row) for row in files.rows()]
        rows += directories(large)
        small = counter(folder, key, 1_000 if not large else 10_000)
        rows += [Row(f"{what}, p50", f"{ms:.2f} ms", "", "", "") for what, ms in small.items()]
        if large:
            with open_parts(city.settings(folder / "hub")) as parts:
                city.fill(parts, 1_000_000, 100_000)
            big = counter(folder, key, 100_000)
            rows += [
                Row(
                    f"{what}, p50 with 100,000 more",
                    f"{ms:.2f} ms",
                    f"{small[what]:.2f} ms",
                    f"{ms / small[what]:.2f}",
                    "≤ 1.5",
                )
                for what, ms in big.items()
            ]
        return rows


@dataclass(frozen=True, slots=True)
class Round:
    """One round: floors and figures measured in turn, so that other load on the machine affects both."""

    empty: float
    commits: float
    signatures: float
    artefacts: float
    reads: float
    issue: client.Load
    issue_cpu_s: float
    page: float
    json: float

    @property
    def issue_floor(self) -> float:
        """The upper bound for issuing: one request, two commits, two signatures, and building the signed data."""
        return 1 / (1 / self.empty + 2 / self.commits + 2 / self.signatures + 1 / self.artefacts)


def measure_round(number: int, folder: Path, port: int, pid: int, bare_port: int, access: str) -> Round:
    """Issue one certificate per case over HTTP, then request their public pages."""
    bodies = [(n, city.case(range(n, n + 1))) for n in range(number * ISSUED, (number + 1) * ISSUED)]
    requests = [client.request("PUT", f"/api/v1/cases/B-{n}", token=access, body=body) for n, body in bodies]
    commits = floors.commits(folder / f"{number}.db", 0.5)
    before = server.cpu_s(pid)
    load = client.run(port, requests, CONNECTIONS, keep=True)
    cpu = (server.cpu_s(pid) - before) / len(requests)
    if load.statuses != {201: len(requests)}:
        raise RuntimeError(f"issuing was answered with {load.statuses}")
    answers = [json.loads(body)["certificates"][0]["links"]["verify"] for body in load.bodies]
    codes = [answer.partition("#")[0].rpartition("/")[2] for answer in answers]
    server.quiet(pid)  # so that rendering after the mass issue does not disturb what follows
    rates = []
    for wanted in ("text/html", "application/json", ""):
        asked = [
            client.request("GET", f"/v/{code}" if wanted else "/empty", accept=wanted or "*/*") for code in codes * 2
        ]
        got = client.run(port if wanted else bare_port, asked, CONNECTIONS)
        if got.statuses != {200: len(asked)}:
            raise RuntimeError(f"verifying was answered with {got.statuses}")
        rates.append(got.rate)
    signatures, artefacts = floors.signatures(0.2), floors.artefacts(0.2)
    reads = floors.reads(folder / f"{number}-reads.db", 0.2)
    return Round(rates[2], commits, signatures, artefacts, reads, load, cpu, rates[0], rates[1])


def summarised(rounds: list[Round]) -> list[Row]:
    """Medians over the rounds; a ratio is the median of the rounds' own ratios."""

    def middle(of: Callable[[Round], float]) -> float:
        return statistics.median(of(one) for one in rounds)

    empty, floor = middle(lambda r: r.empty), middle(lambda r: r.issue_floor)
    p50, p99 = middle(lambda r: r.issue.percentile(0.5)), middle(lambda r: r.issue.percentile(0.99))
    issue, issue_ratio = middle(lambda r: r.issue.rate), middle(lambda r: r.issue.rate / r.issue_floor)
    return [
        Row("empty route", f"{empty:.0f}/s", "", "", ""),
        Row("bare fsynced commit of five rows", f"{middle(lambda r: r.commits):.0f}/s", "", "", ""),
        Row("bare P-256 signature", f"{middle(lambda r: r.signatures):.0f}/s", "", "", ""),
        Row("bare credential and QR digits", f"{middle(lambda r: r.artefacts):.0f}/s", "", "", ""),
        Row("one indexed read", f"{middle(lambda r: r.reads):.0f}/s", "", "", ""),
        Row("issue over HTTP, by CPU", f"{1 / middle(lambda r: r.issue_cpu_s):.0f}/s a core", "", "", "≥ 400/s"),
        Row("issue over HTTP, by clock", f"{issue:.0f}/s", f"{floor:.0f}/s", f"{issue_ratio:.2f}", "≥ 0.4"),
        Row("issue over HTTP, p50 / p99 at 16 connections", f"{p50:.1f} / {p99:.1f} ms", "", "", ""),
        *(
            Row(f"/v/{{code}} as {what}", f"{middle(of):.0f}/s", f"{empty:.0f}/s", f"{middle(ratio):.2f}", "≥ 0.4")
            for what, of, ratio in (
                ("page", lambda r: r.page, lambda r: r.page / r.empty),
                ("JSON", lambda r: r.json, lambda r: r.json / r.empty),
            )
        ),
    ]


def directories(large: bool) -> list[Row]:
    """Searches at 10,000 and 200,000 certificates, or at 2,000 and 10,000; the larger one is rebuilt."""
    sizes = (10_000, 200_000) if large else (2_000, 10_000)
    few, many = (directory.search_and_rebuild(size) for size in sizes)
    rows = []
    for what, name in (("search", "directory search"), ("holdings", "holdings of a party")):
        ratio = many[what] / few[what]
        figure, floor = f"{many[what]:.2f} ms", f"{few[what]:.2f} ms at {sizes[0]:,}"
        rows.append(Row(f"{name}, p50 at {sizes[1]:,} certificates", figure, floor, f"{ratio:.2f}", "≤ 1.5"))
    return [*rows, Row("directory rebuild", f"{many['rebuild']:.0f} entries/s", "", "", "≥ 15000/s")]


def memory(port: int, pid: int, access: str, already: int) -> list[Row]:
    """The memory of the API process after 10,000 issuances."""
    numbers = range(20_000, 30_000 - already)
    requests = [
        client.request("PUT", f"/api/v1/cases/M-{n}", token=access, body=city.case(range(n, n + 1))) for n in numbers
    ]
    client.run(port, requests, CONNECTIONS)
    return [Row("API process after 10,000 issuances", f"{server.rss_mb(pid):.0f} MB", "", "", "< 250 MB")]


def counter(folder: Path, key: str, offset: int) -> dict[str, float]:
    """Median milliseconds of a lookup and a retrieval, one at a time, each for a different person."""
    people = [20_000 + n for n in range(200)]
    with server.hub(folder / "hub") as (port, _):
        access = token(city.settings(folder / "hub"), city.CLIENT, port, key)
        opened = []
        for n in people:
            body = {"matter_code": "B-1", "status": "accepted", "applicants": [city.person(n)]}
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
            raw = json.dumps({**body, "accepted_at": moment}).encode()
            opened.append(client.request("PUT", f"/api/v1/cases/L-{offset}-{n}", token=access, body=raw))
        client.run(port, opened, 4)
        lookups = client.run(port, [_lookup(offset, n, access) for n in people], 1, keep=True)
        found = [json.loads(body)["entries"][0]["identifier"] for body in lookups.bodies]
        pairs = zip(people, found, strict=True)
        retrievals = client.run(port, [_retrieval(offset, n, i, access) for n, i in pairs], 1)
        if set(lookups.statuses) != {200} or set(retrievals.statuses) != {201}:
            raise RuntimeError(f"the counter was answered with {lookups.statuses}, {retrievals.statuses}")
        return {"lookup": lookups.percentile(0.5), "retrieval": retrievals.percentile(0.5)}


def _lookup(offset: int, n: int, access: str) -> bytes:
    person = city.person(n)
    holder = {"id_type": person["id_type"], "id_number": person["id_number"]}
    body = {"case_number": f"L-{offset}-{n}", "clerk": city.CLERK, "holder": holder}
    return client.request("POST", "/api/v1/lookups", token=access, body=json.dumps(body).encode())


def _retrieval(offset: int, n: int, identifier: str, access: str) -> bytes:
    body = {"case_number": f"L-{offset}-{n}", "clerk": city.CLERK, "identifier": identifier}
    return client.request("POST", "/api/v1/retrievals", token=access, body=json.dumps(body).encode())


def table(rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = ["| what | figure | floor of the same run | ratio | wanted |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {r.what} | {r.figure} | {r.floor} | {r.ratio} | {r.wanted} |" for r in rows)])


def main() -> None:
    """Run, print, and write the document if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    found = table(measure(wanted.large))
    print(found)
    if wanted.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{found}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
