"""Shards that are away, and shards that the server gives back empty: lookups lose nothing, searches do not pretend."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.api.health import _directory
from indexer.elastic_mapping import MARKS
from tests import city as c
from tests import elastic
from tests.city import City, open_copy
from tests.test_directory import CASE, all_entries, engine, found, settle

SHARDS = 4
INDEX = f"{elastic.PREFIX}emptied"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[elastic.Server]:
    one = elastic.server(tmp_path / "server")
    yield one
    one.remove()


@pytest.fixture
def fed(server: elastic.Server, tmp_path: Path) -> Iterator[City]:
    c.load_city(tmp_path / "template")
    own: dict[str, Any] = {"index_url": server.url, "index_prefix": INDEX, "index_shards": SHARDS, "index_replicas": 0}
    own |= {"index_timeout_s": 10.0, "index_write_timeout_s": 30.0}
    with open_copy(tmp_path / "template", tmp_path / "data", **own) as city:
        settle(city.parts)
        yield city


def shards_of(server: elastic.Server) -> list[Path]:
    """The folders of every shard."""
    return sorted(path for path in (server.home / "data" / "indices").glob("*/[0-9]*") if path.is_dir())


def held(city: City) -> set[str]:
    answer = city.look_up(*CASE)
    assert answer.complete
    return {entry.identifier for entry in answer.entries}


def holders(city: City) -> list[tuple[int, str]]:
    """Every party with a type that it holds, in whatever shard."""
    return sorted({(entry.party, entry.type_code) for entry in all_entries(city) if not entry.ended})


def ask_anew(city: City) -> None:
    """Nobody remembers that it has failed."""
    city.parts.lookup._holdings._down_until = 0.0
    engine(city)._client._circuit.answered()  # type: ignore[attr-defined]


def answers(city: City, asked: list[tuple[int, str]]) -> list[set[str]]:
    """What is found for each, below the rules of who may ask."""
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
    settle(fed.parts)
    assert engine(fed).current() == "g2"
    assert len(all_entries(fed)) == 92
    assert answers(fed, asked) == expected
    assert _directory(fed.parts).state == "ok"
    assert found(fed, text="闽屿").hits
