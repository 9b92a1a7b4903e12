"""The directory: searches at two sizes, a rebuild, and how long a new certificate takes to be indexed."""

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hub.directory import DirectoryQuery
from hub.directory.engines import index_folder
from hub.domain.caller import Caller
from hub.parts import Parts, open_parts
from hub.store import changes
from indexer.embedded.engine import EmbeddedDirectory
from tests.benchmarks import city, client
from tests.support.histories import TYPES, Life, people

QUERIES = ("闽江餐饮", "置业9号", "榕荫医药17号", "食品经营许可", "鼓山")
CALLER = Caller("benchmark", city.AUTHORITY, city.AUTHORITY)
Figure = dict[str, float]


def search_and_rebuild(count: int) -> Figure:
    """Milliseconds of a search (p50, 20 hits, each read back) and of holdings; entries per second of a rebuild."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hub"
        city.found(folder)
        with open_parts(city.settings(folder)) as parts:
            holders = _fill(parts, count)
            begun = time.perf_counter()
            parts.directory.rebuild()
            rebuilt = parts.directory.status().entries / (time.perf_counter() - begun)
            while parts.directory.sequence() + parts.directory.feed():
                pass
            texts = iter(QUERIES * 60)
            search = _median(lambda: parts.directory.search(CALLER, DirectoryQuery(text=next(texts), limit=20)), 250)
            parties = iter(random.Random(3).choices(holders, k=600))
            today, types = parts.clock.today(), TYPES[:2]
            held = _median(lambda: parts.lookup._holdings.of_party(next(parties), types, today), 500)
    return {"search": search, "holdings": held, "rebuild": rebuilt}


def _fill(parts: Parts, count: int) -> list[int]:
    """Store unsigned certificates directly; returns the parties that hold them."""
    rng = random.Random(5)
    holders = people(rng, count // 3)
    for _ in range(0, count, 1000):
        rows = [Life(parts, rng, holders, credential="c" * 2_500).issue(parts.clock.today()) for _ in range(1000)]
        with parts.database.write() as writer:
            for row in rows:
                changes.apply(writer, row)
    return [one.party for one in holders]


def _median(work: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[times // 2] * 1000


def on_its_way(folder: Path, port: int, access: str, count: int = 300) -> Figure:
    """Milliseconds from the reply to a push until the directory has the certificate, one push after another."""
    found = []
    with open_parts(city.settings(folder)) as parts:
        engine = EmbeddedDirectory(index_folder(parts.settings))
        for number in range(500_000, 500_000 + count):
            body = city.case(range(number, number + 1))
            request = client.request("PUT", f"/api/v1/cases/W-{number}", token=access, body=body)
            reply = client.run(port, [request], 1, keep=True)
            begun = time.perf_counter()
            identifier = json.loads(reply.bodies[0])["certificates"][0]["identifier"]
            expected = parts.directory.explain(identifier).expected[0]
            while engine.find(engine.current() or "", expected.key) is None:
                time.sleep(0.002)
            found.append((time.perf_counter() - begun) * 1000)
            time.sleep(random.Random(number).random() * 0.02)
    ordered = sorted(found)
    return {"p50": ordered[count // 2], "p99": ordered[int(count * 0.99)]}
