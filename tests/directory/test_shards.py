"""Missing shards, and shards that the server replaces by empty ones: lookups lose nothing, searches report it; and the
loss of one of three nodes, whose shards have replicas elsewhere.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.api.health import _directory
from hub.domain.errors import Refusal
from indexer.elastic.mapping import MARKS
from indexer.errors import DirectoryBroken, DirectoryUnavailable
from tests.directory.test_directory import CASE, all_entries, engine, found, push, settle
from tests.support import city as c
from tests.support import elastic
from tests.support.city import City, open_copy

SHARDS = 4
INDEX = f"{elastic.PREFIX}emptied"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[elastic.Server]:
    one = elastic.server(tmp_path / "server")
    yield one
    one.remove()


@contextmanager
def city_on(folder: Path, urls: list[str], replicas: int, **more: Any) -> Iterator[City]:
    """A city with its directory on these servers."""
    c.load_city(folder / "template")
    own: dict[str, Any] = {"index_url": ",".join(urls), "index_prefix": INDEX, "index_shards": SHARDS}
    with open_copy(folder / "template", folder / "data", **own, index_replicas=replicas, **more) as city:
        settle(city.parts)
        yield city


@pytest.fixture
def fed(server: elastic.Server, tmp_path: Path) -> Iterator[City]:
    with city_on(tmp_path, [server.url], 0, index_timeout_s=10.0, index_write_timeout_s=30.0) as city:
        yield city


def shards_of(server: elastic.Server) -> list[Path]:
    """The folders of every shard."""
    return sorted(path for path in (server.home / "data" / "indices").glob("*/[0-9]*") if path.is_dir())


def held(city: City) -> set[str]:
    answer = city.look_up(*CASE)
    assert answer.complete
    return {entry.identifier for entry in answer.entries}


def holders(city: City) -> list[tuple[int, str]]:
    """Every party with a type that it holds, in all shards."""
    return sorted({(entry.party, entry.type_code) for entry in all_entries(city) if not entry.ended})


def ask_anew(city: City) -> None:
    """Forget that the server failed."""
    city.parts.lookup._holdings._down_until = 0.0
    engine(city)._client._circuit.answered()  # type: ignore[attr-defined]


def answers(city: City, asked: list[tuple[int, str]]) -> list[set[str]]:
    """The directory's results for each, without permission checks."""
    today = city.clock.today()
    holdings = city.parts.lookup._holdings
    found = []
    for party, code in asked:
        ask_anew(city)
        found.append({version.identifier for version in holdings.of_party(party, (code,), today)})
    return found


def test_half_of_its_shards_gone_and_given_back_empty(server: elastic.Server, fed: City) -> None:
    asked = holders(fed)
    expected, of_case = answers(fed, asked), held(fed)
    assert all(expected)
    of_marks = server.request("GET", f"/{INDEX}-g1/_search_shards?routing={MARKS}").json()["shards"][0][0]["shard"]
    server.stop()
    folders = shards_of(server)
    assert len(folders) == SHARDS
    lost = [folder for folder in folders if int(folder.name) != of_marks][: SHARDS // 2]  # how far it came is known
    for folder in lost:
        shutil.rmtree(folder)
    server.start(wait=False)
    server.wait(status="red")

    def same() -> None:
        assert answers(fed, asked) == expected
        assert held(fed) == of_case
        ask_anew(fed)
        assert c.refused(found, fed, text="闽屿") == "index.unavailable"
        assert _directory(fed.parts).state == "degraded"

    same()
    node = server.settings["node.name"]
    emptied = {"index": f"{INDEX}-g1", "node": node, "accept_data_loss": True}
    commands = [{"allocate_empty_primary": emptied | {"shard": int(folder.name)}} for folder in lost]
    answer = server.request("POST", "/_cluster/reroute", {"commands": commands})
    assert answer.status_code == 200, answer.text
    server.wait(status="green")
    ask_anew(fed)
    assert len(all_entries(fed)) < 92
    same()
    with pytest.raises(DirectoryBroken, match="has lost its entries"):
        fed.parts.directory.status()
    settle(fed.parts)
    assert engine(fed).current() == "g2"
    assert len(all_entries(fed)) == 92
    assert answers(fed, asked) == expected
    assert _directory(fed.parts).state == "ok"
    assert found(fed, text="闽屿").hits


def soon(holds: Callable[[], bool], seconds: float = 60.0) -> float:
    """How many seconds until it holds; retried while something is unavailable."""
    began = time.monotonic()
    while True:
        with suppress(DirectoryUnavailable, Refusal):
            if holds():
                return time.monotonic() - began
        assert time.monotonic() - began < seconds
        time.sleep(0.2)


def is_fed(city: City) -> bool:
    """Whether the directory has every change, after feeding what can be fed now."""
    city.parts.directory.sequence()
    city.parts.directory.feed()
    return not city.parts.directory.lag().changes


def is_found(city: City, identifier: str) -> bool:
    """Whether the directory has a certificate, and a search finds it."""
    hits = {hit.entry.identifier for hit in found(city, text="无犯罪记录").hits}
    return identifier in hits and identifier in {entry.identifier for entry in all_entries(city)}


@pytest.mark.skipif(not os.environ.get("HUB_LONG"), reason="three nodes take a minute: HUB_LONG=1")
def test_with_one_of_three_nodes_lost_searches_and_feeding_continue(tmp_path: Path) -> None:
    """During the outage: lookups immediately, searches and the feed as soon as the cluster has noticed."""
    nodes = elastic.cluster(tmp_path / "nodes")
    try:
        with city_on(tmp_path, nodes.urls, 1) as city:
            nodes.nodes[0].wait(3, "green")
            asked, of_case = holders(city), held(city)
            expected = answers(city, asked)
            master = nodes.master()
            for number, lost in enumerate((next(node for node in nodes.nodes if node is not master), master), start=1):
                lost.kill()
                assert held(city) == of_case
                assert answers(city, asked) == expected
                new = push(city, f"D-{number}", [c.MINYU])
                soon(partial(is_fed, city))
                soon(partial(is_found, city, new))
                assert answers(city, asked) == expected
                assert engine(city).current() == "g1"
                lost.start(wait=False)
                lost.wait(3, "green")
    finally:
        nodes.remove()
