"""Measure the hub and its floors, print the tables and, with --write, write all of docs/performance.md.

.venv/bin/python -m tests.benchmarks --quick    one short round, two minutes: to check that everything runs
.venv/bin/python -m tests.benchmarks            five rounds, about six minutes
.venv/bin/python -m tests.benchmarks --large --scale 1000000 --write
                                                everything, with 100,000 and with a million certificates, half an hour

Without --scale, the document keeps its tables for a million certificates. --prose measures nothing: it writes the text
again around the last figures.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from hub.parts import open_parts
from tests.benchmarks import city, client, directory, document, files, floors, server
from tests.benchmarks.access import token

CONNECTIONS = 16
READY_S = 6.0
"""The hub loads what drawing needs three seconds after its start, for some seconds: that is not what is measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds, and how much of everything in each."""

    rounds: int = 5
    issued: int = 600
    flood: files.Plan = field(default_factory=files.Plan)
    sizes: tuple[int, int] = (2_000, 10_000)
    after: int = 10_000
    more: int = 0

    @property
    def already(self) -> int:
        """Certificates that the rounds issue."""
        return self.rounds * self.issued


QUICK = Plan(rounds=1, issued=100, flood=files.Plan(rounds=1, pages=200), sizes=(1_000, 2_000), after=500)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    floor: str
    ratio: str
    wanted: str


def measure(plan: Plan) -> list[Row]:
    """Every row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = city.found(folder / "hub")
        with server.hub(folder / "hub") as (port, pid), server.empty() as (bare_port, _):
            access = token(city.settings(folder / "hub"), city.CLIENT, port, key)
            client.run(port, [client.request("GET", "/v")], 1)
            time.sleep(READY_S)
            rounds = [measure_round(plan, n, folder, port, pid, bare_port, access) for n in range(plan.rounds)]
            rows = summarised(rounds)
            rows += memory(plan, port, pid, access)
            way = directory.on_its_way(folder / "hub", port, access, min(300, plan.issued))
        p50, p99 = way["p50"], way["p99"]
        rows.append(Row("issued → in the directory, p50 / p99", f"{p50:.0f} / {p99:.0f} ms", "", "", "p99 < 300 ms"))
        rows += [Row(*row) for row in files.rows(plan.flood)]
        rows += directories(plan.sizes)
        small = counter(folder, key, 1_000)
        rows += [Row(f"{what}, p50", f"{ms:.2f} ms", "", "", "") for what, ms in small.items()]
        if plan.more:
            with open_parts(city.settings(folder / "hub")) as parts:
                city.fill(parts, 1_000_000, plan.more)
            big = counter(folder, key, plan.more)
            rows += [
                Row(
                    f"{what}, p50 with {plan.more:,} more",
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
    """One round: floors and figures taken in turn, so that a busy neighbour meets both."""

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
        """What issuing cannot exceed: one request, two commits, two signatures, and what is signed."""
        return 1 / (1 / self.empty + 2 / self.commits + 2 / self.signatures + 1 / self.artefacts)


def measure_round(plan: Plan, number: int, folder: Path, port: int, pid: int, bare_port: int, access: str) -> Round:
    """Issue over HTTP one certificate a case, then ask for their public pages."""
    bodies = [(n, city.case(range(n, n + 1))) for n in range(number * plan.issued, (number + 1) * plan.issued)]
    requests = [client.request("PUT", f"/api/v1/cases/B-{n}", token=access, body=body) for n, body in bodies]
    commits = floors.commits(folder / f"{number}.db", 0.5)
    before = server.cpu_s(pid)
    load = client.run(port, requests, CONNECTIONS, keep=True)
    cpu = (server.cpu_s(pid) - before) / len(requests)
    if load.statuses != {201: len(requests)}:
        raise RuntimeError(f"issuing was answered with {load.statuses}")
    answers = [json.loads(body)["certificates"][0]["links"]["verify"] for body in load.bodies]
    codes = [answer.partition("#")[0].rpartition("/")[2] for answer in answers]
    server.quiet(pid)  # what follows is not about the PDF files that the worker draws after a mass issue
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
        Row("issue over HTTP, by CPU", f"{1 / middle(lambda r: r.issue_cpu_s):.0f}/s a core", "", "", "≥ 600/s"),
        Row("issue over HTTP, by clock", f"{issue:.0f}/s", f"{floor:.0f}/s", f"{issue_ratio:.2f}", "≥ 0.35"),
        Row("issue over HTTP, p50 / p99 at 16 connections", f"{p50:.1f} / {p99:.1f} ms", "", "", ""),
        *(
            Row(f"/v/{{code}} as {what}", f"{middle(of):.0f}/s", f"{empty:.0f}/s", f"{middle(ratio):.2f}", "≥ 0.45")
            for what, of, ratio in (
                ("page", lambda r: r.page, lambda r: r.page / r.empty),
                ("JSON", lambda r: r.json, lambda r: r.json / r.empty),
            )
        ),
    ]


def directories(sizes: tuple[int, int]) -> list[Row]:
    """Searches at two sizes; the larger directory is rebuilt."""
    few, many = (directory.search_and_rebuild(size) for size in sizes)
    rows = []
    for what, name in (("search", "directory search"), ("holdings", "holdings of a party")):
        ratio = many[what] / few[what]
        figure, floor = f"{many[what]:.2f} ms", f"{few[what]:.2f} ms at {sizes[0]:,}"
        rows.append(Row(f"{name}, p50 at {sizes[1]:,} certificates", figure, floor, f"{ratio:.2f}", "≤ 1.5"))
    return [*rows, Row("directory rebuild", f"{many['rebuild']:.0f} entries/s", "", "", "≥ 15000/s")]


def memory(plan: Plan, port: int, pid: int, access: str) -> list[Row]:
    """The API process after many issuances."""
    numbers = range(20_000, 20_000 + max(0, plan.after - plan.already))
    requests = [
        client.request("PUT", f"/api/v1/cases/M-{n}", token=access, body=city.case(range(n, n + 1))) for n in numbers
    ]
    client.run(port, requests, CONNECTIONS)
    return [Row(f"API process after {plan.after:,} issuances", f"{server.rss_mb(pid):.0f} MB", "", "", "< 250 MB")]


def counter(folder: Path, key: str, offset: int) -> dict[str, float]:
    """Median milliseconds of a lookup and a retrieval, one at a time, each for another person."""
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


def main() -> None:
    """Run, print, and write the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; never written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="searches at 200,000, the counter with 100,000 more")
    parser.add_argument("--scale", type=int, metavar="N", help="N certificates in temporary PostgreSQL, Elasticsearch")
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md, with --scale docs/scale.md too"
    )
    parser.add_argument("--prose", action="store_true", help="write the document's text around the figures it has")
    wanted = parser.parse_args()
    if wanted.quick and wanted.write:
        parser.error("figures of --quick are not for the document")
    if wanted.prose:
        document.write()
        return
    plan = QUICK if wanted.quick else Plan(wanted.rounds, flood=files.Plan(wanted.rounds))
    if wanted.large:
        plan = replace(plan, sizes=(10_000, 200_000), more=100_000)
    rows = [astuple(row) for row in measure(plan)]
    found = "\n\n".join(
        (
            document.circumstances(f"median of {plan.rounds} interleaved rounds"),
            document.table(rows),
            document.missed(rows),
        )
    )
    print(found)
    if wanted.write:
        document.write(figures=found)
    if wanted.scale:
        from tests.benchmarks.scale.__main__ import main as scale

        engines = ["--database-url", "temporary", "--index-url", "temporary"]
        scale(["--certificates", str(wanted.scale), *engines, *(["--write"] if wanted.write else [])])


if __name__ == "__main__":
    main()
