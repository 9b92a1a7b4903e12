"""Issuing over HTTP into a full city, compared with its upper bound; and how soon certificates are searchable."""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from hub.settings import Settings
from tests.benchmarks import access, client, floors, server
from tests.benchmarks.scale import plausible, repository
from tests.benchmarks.scale.city import GRANT
from tests.benchmarks.scale.loading import CLIENT
from tests.benchmarks.scale.plausible import Plausible, Stage

CONNECTIONS = 16
ISSUED = 20
"""The stages issued one by one have this number and up; there are ten."""
ROUNDS = 9
"""The maximum; the stage after these is the one timed until it is searchable."""
LONGEST_S = 30.0
Searchable = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Issuing:
    """Certificates per second over HTTP, and their bounds: requests, commits, signatures and artefacts per second."""

    rate: float
    requests: float
    commits: float
    signatures: float
    artefacts: float
    p50: float
    p99: float

    @property
    def ceiling(self) -> float:
        """One signature, one artefact, two commits and two passes through a web server, in sequence."""
        return 1 / (1 / self.signatures + 1 / self.artefacts + 2 / self.commits + 2 / self.requests)

    @property
    def ratio(self) -> float:
        """The measured rate relative to the ceiling."""
        return self.rate / self.ceiling


@dataclass(frozen=True, slots=True)
class IssuingPlan:
    """How many rounds of how many cases, how many cases to time until searchable, and how long to measure a floor."""

    seed: int
    rounds: int
    each: int
    watched: int
    floors_s: float

    @property
    def issued(self) -> int:
        """The total."""
        return self.rounds * self.each + self.watched


def environment(settings: Settings) -> dict[str, str]:
    """The environment variables that point a process to the engines."""
    names = [name for name in Settings.model_fields if name.startswith(("database_", "index_"))]
    found = {name: getattr(settings, name) for name in names}
    return {f"HUB_{name.upper()}": str(value) for name, value in found.items() if value not in {None, ""}}


@contextmanager
def service(settings: Settings, workers: int) -> Iterator[int]:
    """The port of a running hub, with its worker."""
    more = environment(settings)
    with ExitStack() as stack:
        port, _ = stack.enter_context(server.hub(settings.data_dir, more, workers))
        if settings.database_url is not None:
            own = server.environment(settings.data_dir, more)
            stack.enter_context(server.running([*server.HUB, "work"], own, None))
        yield port


def measure(
    settings: Settings, key: str, plan: IssuingPlan, is_there: Searchable
) -> tuple[Issuing, tuple[float, float]]:
    """Rounds of cases with one certificate each, between measurements of their bounds; then, one after another,
    milliseconds (p50, p99) from the reply to a push until the directory alone has the certificate.
    """
    workers = 1 if settings.database_url is None else 2
    database = repository.bare(settings)
    with service(settings, workers) as port:
        token = access.token(settings, CLIENT, port, key)
        with server.empty(workers) as (bare_port, _):
            made = [_round(database, plan, number, token, port, bare_port) for number in range(plan.rounds)]
        soon = _searchable(plan, token, port, is_there)
    return sorted(made, key=lambda one: one.ratio)[len(made) // 2], soon


def _round(database: repository.Bare, plan: IssuingPlan, number: int, token: str, port: int, bare_port: int) -> Issuing:
    commits = database.commits(plan.floors_s * 5)
    requests = [_request(item, token) for item in _items(plan.seed, number, plan.each)]
    load = client.run(port, requests, CONNECTIONS)
    if load.statuses != {201: len(requests)}:
        raise RuntimeError(f"issuing was answered with {load.statuses}")
    empty = client.run(bare_port, [client.request("GET", "/empty")] * plan.each * 4, CONNECTIONS)
    signatures, artefacts = floors.signatures(plan.floors_s), floors.artefacts(plan.floors_s)
    p50, p99 = load.percentile(0.5), load.percentile(0.99)
    return Issuing(load.rate, empty.rate, commits, signatures, artefacts, p50, p99)


def _items(seed: int, number: int, count: int) -> list[Plausible]:
    """Certificates of people who have none yet."""
    return list(plausible.certificates(seed, Stage(ISSUED + number, count * plausible.PARTS), 0))


def _request(item: Plausible, token: str) -> bytes:
    pushed = item.pushed
    people = [{"name": p.name, "id_type": p.id_type, "id_number": p.id_number} for p in pushed.holders]
    certificate = {
        "type_code": pushed.type_code,
        "number": pushed.number,
        "holders": people,
        "fields": dict(pushed.fields),
        "issued_on": pushed.issued_on.isoformat(),
        "valid_until": pushed.valid_until.isoformat() if pushed.valid_until else None,
    }
    body = {
        "matter_code": GRANT,
        "status": "completed",
        "applicants": people,
        "accepted_at": f"{pushed.issued_on}T01:00:00Z",
        "completed_at": f"{pushed.issued_on}T02:00:00Z",
        "certificates": [certificate],
    }
    path = f"/api/v1/cases/H-{item.case_number.rpartition('-')[2]}"
    return client.request("PUT", path, token=token, body=json.dumps(body, ensure_ascii=False).encode())


def _searchable(plan: IssuingPlan, token: str, port: int, is_there: Searchable) -> tuple[float, float]:
    found = []
    rng = random.Random(plan.seed)
    for item in _items(plan.seed, ROUNDS, plan.watched):
        reply = client.run(port, [_request(item, token)], 1, keep=True)
        begun = time.perf_counter()
        identifier = json.loads(reply.bodies[0])["certificates"][0]["identifier"]
        while not is_there(identifier):
            if time.perf_counter() - begun > LONGEST_S:
                raise RuntimeError("a certificate did not reach the directory")
            time.sleep(0.002)
        found.append((time.perf_counter() - begun) * 1000)
        time.sleep(rng.random() * 0.05)
    ordered = sorted(found)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
