"""The hub with Elasticsearch as its directory: what the server rejects, forgets or loses hides nothing from callers."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hub.directory import marks
from hub.directory.entries import FORMAT
from hub.domain import numbers
from hub.store import directory_rejects, ledger
from indexer.elastic import mapping, shards
from indexer.elastic.engine import Access, ElasticDirectory, Shape
from indexer.errors import DirectoryBroken, DirectoryUnavailable
from indexer.query import Search
from tests.directory.test_directory import CASE, all_entries, engine, found, push, settle
from tests.support import city as c
from tests.support import directories, elastic, indexing
from tests.support.city import City, open_copy

pytestmark = pytest.mark.sqlite


@pytest.fixture
def fed(template: Path, tmp_path: Path) -> Iterator[City]:
    with directories.settings_of(directories.ELASTIC) as more, open_copy(template, tmp_path / "data", **more) as city:
        settle(city.parts)
        yield city


def request(method: str, path: str, body: Any = None) -> Any:
    answer = elastic.shared().request(method, path, body)
    assert answer.status_code < 300, answer.text
    return answer.json()


def index_of(city: City) -> str:
    return f"{city.parts.settings.index_prefix}-{engine(city).current()}"


def held(city: City) -> list[str]:
    return [entry.identifier for entry in city.look_up(*CASE).entries]


def lay_in_its_place(city: City, **changed: Any) -> None:
    """Replace the current index by one with the same name and marks but another mapping."""
    index, prefix = index_of(city), city.parts.settings.index_prefix
    kept = {name: engine(city).mark("g1", name) for name in (marks.POSITION, marks.NAMES, marks.FORMAT_OF)}
    body = {
        "mappings": mapping.mappings(directories.SHARDS) | changed,
        "settings": {"number_of_shards": directories.SHARDS, "number_of_replicas": 0},
        "aliases": {prefix: {}, f"{index}-w": {}},
    }
    request("DELETE", f"/{index}")
    request("PUT", f"/{index}", body)
    with engine(city)._writing("g1") as bulk:
        bulk.send(list(shards.marks(engine(city)._client._writing, index)))
    if not changed.get("_meta"):
        engine(city).write("g1", (), {name: value for name, value in kept.items() if value is not None})


# --- the mapping ------------------------------------------------------------------------------------------------------


def test_a_stray_field_is_refused(fed: City) -> None:
    answer = elastic.shared().request("PUT", f"/{index_of(fed)}/_doc/1?routing=1", {"kind": "entry", "name": "林屿安"})
    assert answer.status_code == 400
    assert "strict_dynamic_mapping_exception" in answer.text
    without_routing = elastic.shared().request("PUT", f"/{index_of(fed)}/_doc/1", {"kind": "entry"})
    assert "routing_missing_exception" in without_routing.text


def test_a_write_to_an_index_that_is_gone_makes_none(fed: City) -> None:
    with pytest.raises(DirectoryBroken):
        engine(fed).write("g77", [indexing.entry(1, Random(1))])
    assert engine(fed).names() == ["g1"]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_rejected_entries_are_recorded_and_the_rest_is_written(tmp_path: Path) -> None:
    rng = Random(3)
    good = [indexing.entry(n, rng) for n in range(1, 4)]
    bad = indexing.entry(9, rng)._replace(type_code="T" * 40_000)
    with directories.elastic_directory(tmp_path) as directory:
        name = directory.create()
        directory.swap(name)
        aside: list[Any] = []
        assert directory.write(name, [*good[:2], bad, good[2]], {"position": 7}, (), aside.extend) == 3
        assert [one.entry for one in aside] == [bad]
        assert aside[0].reason == "document_parsing_exception" or "exception" in aside[0].reason
        assert "TTTT" not in aside[0].reason
        assert directory.mark(name, "position") == 7
        assert directory.walk(name, (-1, -1, -1), 10) == sorted(good, key=lambda e: e.key)
        with pytest.raises(ValueError, match="rejected"):
            directory.write(name, [bad], {"position": 8})
        assert directory.mark(name, "position") == 7


def test_a_request_that_is_too_large_goes_in_halves(tmp_path: Path) -> None:
    server = elastic.server(tmp_path / "server", settings={"http.max_content_length": "64kb"})
    try:
        directory = ElasticDirectory(
            Access((server.url,), timeout_s=10.0, write_timeout_s=30.0), Shape("hub-x", 1, 0), tmp_path
        )
        name = directory.create()
        directory.swap(name)
        rng = Random(3)
        entries = [indexing.entry(n, rng) for n in range(1, 400)]
        huge = indexing.entry(999, rng)._replace(title="大" * 30_000)
        aside: list[Any] = []
        assert directory.write(name, [*entries, huge], {}, (), aside.extend) == 399
        assert [(one.entry, one.reason) for one in aside] == [(huge, "too_large")]
        assert directory.count(name) == 399
        directory.close()
    finally:
        server.remove()


def test_a_rejected_entry_is_still_found_and_written_later(fed: City) -> None:
    properties = mapping.PROPERTIES | {"title": {"type": "byte"}}
    lay_in_its_place(fed, properties=properties)
    before = held(fed)
    new = push(fed, "D-1", [c.MINYU])
    assert fed.parts.directory.sequence() == 1
    assert fed.parts.directory.feed() == 1
    reader = fed.parts.database.reader
    assert fed.parts.directory.rejected_count() == 1
    assert fed.parts.directory.lag().changes == 0
    assert new in {hit.entry.identifier for hit in found(fed, text="无犯罪记录").hits}
    assert held(fed) == before or set(held(fed)) <= set(before)
    assert fed.parts.directory.retry() == (1, 1)
    lay_in_its_place(fed)
    assert fed.parts.directory.retry() == (1, 0)
    assert not directory_rejects.is_any(reader)
    assert {e.identifier for e in all_entries(fed)} == {new}


# --- generations ------------------------------------------------------------------------------------------------------


def test_another_mapping_answers_nothing_and_is_replaced(fed: City) -> None:
    expected = held(fed)
    lay_in_its_place(fed, _meta={"mapping_version": mapping.VERSION - 1})
    assert engine(fed).current() is None
    with pytest.raises(DirectoryBroken):
        engine(fed).mark("g1", marks.POSITION)
    assert held(fed) == expected
    assert c.refused(found, fed) == "index.unavailable"
    settle(fed.parts)
    assert engine(fed).current() is not None
    assert len(all_entries(fed)) == 92
    assert held(fed) == expected


def test_an_alias_that_is_missing_or_names_two_is_put_right(fed: City) -> None:
    expected, prefix = held(fed), fed.parts.settings.index_prefix
    request("POST", "/_aliases", {"actions": [{"remove": {"index": f"{prefix}-g1", "alias": prefix}}]})
    assert held(fed) == expected
    assert c.refused(found, fed) == "index.unavailable"
    settle(fed.parts)
    assert engine(fed).current() == "g1"
    second = engine(fed).create({marks.FORMAT_OF: FORMAT, marks.POSITION: 0})
    request("POST", "/_aliases", {"actions": [{"add": {"index": f"{prefix}-{second}", "alias": prefix}}]})
    with pytest.raises(DirectoryBroken):
        engine(fed).examine("g1")
    settle(fed.parts)
    assert list(request("GET", f"/{prefix}/_alias")) == [index_of(fed)]
    assert held(fed) == expected


def test_the_former_generation_is_kept_for_a_day(fed: City) -> None:
    fed.parts.directory.rebuild()
    assert engine(fed).names() == ["g1", "g2"]
    fed.clock.ahead = timedelta(hours=23)
    settle(fed.parts)
    assert engine(fed).names() == ["g1", "g2"]
    fed.clock.ahead = timedelta(hours=25)
    settle(fed.parts)
    assert engine(fed).names() == ["g2"]
    with pytest.raises(DirectoryBroken):
        engine(fed).count("g1")


def test_an_alias_is_swapped_under_load(fed: City) -> None:
    """Concurrent queries never miss an entry."""
    expected, stop = held(fed), threading.Event()
    wrong: list[Any] = []

    def ask() -> None:
        while not stop.is_set():
            if held(fed) != expected:
                wrong.append("lookup")
            if len(found(fed, text="闽屿").hits) != 2:
                wrong.append("search")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    names = [fed.parts.directory.rebuild() for _ in range(3)]
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert engine(fed).current() == names[-1]


def test_a_directory_that_takes_no_writes_holds_nothing_up(fed: City) -> None:
    expected = held(fed)
    block = {"index.blocks.read_only_allow_delete": True}
    request("PUT", f"/{index_of(fed)}/_settings", block)
    engine(fed)._client.write_timeout_s = 0.5
    new = push(fed, "D-1", [c.MINYU])
    fed.parts.directory.sequence()
    with pytest.raises(DirectoryUnavailable):
        fed.parts.directory.feed()
    assert held(fed) == expected
    request("PUT", f"/{index_of(fed)}/_settings", {"index.blocks.read_only_allow_delete": None})
    assert new in {hit.entry.identifier for hit in found(fed, text="无犯罪记录").hits}
    settle(fed.parts)
    assert ledger.lag(fed.parts.database.reader, engine(fed).mark("g1", marks.POSITION) or 0).changes == 0
    assert new in {entry.identifier for entry in all_entries(fed)}


# --- nothing personal -------------------------------------------------------------------------------------------------


def test_nothing_personal_is_on_the_server(fed: City) -> None:
    """All fields and terms of all documents, the slow log of all queries and writes, and the task list."""
    index = index_of(fed)
    slow = {
        **{f"index.search.slowlog.threshold.{phase}.warn": "0ms" for phase in ("query", "fetch")},
        "index.indexing.slowlog.threshold.index.warn": "0ms",
        "index.indexing.slowlog.source": True,
    }
    request("PUT", f"/{index}/_settings", slow)
    began = len(elastic.shared().log)
    tasks, stop = [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            tasks.append(elastic.shared().request("GET", "/_tasks?detailed=true").text)

    watcher = threading.Thread(target=watch)
    watcher.start()
    push(fed, "D-1", [c.LIN])
    settle(fed.parts)
    for _ in range(20):
        held(fed)
        found(fed, text="闽屿")
    stop.set()
    watcher.join()
    hits = request("GET", f"/{index}/_search?size=1000")["hits"]["hits"]
    documents = [hit for hit in hits if hit["_source"]["kind"] == "entry"]
    assert len(documents) == 93
    terms = [
        request("GET", f"/{index}/_termvectors/{hit['_id']}?routing={hit['_routing']}&fields=*") for hit in documents
    ]
    log = elastic.shared().log[began:]
    assert "slowlog" in log
    versions = [fed.version(hit["_source"]["identifier"]) for hit in documents]
    holders = [holder for version in versions for holder in version.holders]
    people = [holder for holder in holders if holder.id_type not in numbers.ORGANISATION_TYPES]
    secret = {holder.id_number for holder in holders} | {holder.name for holder in people}
    secret |= {version.number for version in versions}
    for text in (str(hits), str(terms), log, "".join(tasks)):
        assert not [one for one in secret if one in text]
    assert not any(numbers.contains_citizen_number(str(value)) for hit in documents for value in texts(hit["_source"]))


def texts(source: dict[str, Any]) -> list[Any]:
    return [value for value in source.values() if isinstance(value, str)]


def test_secrets_are_not_shown() -> None:
    access = Access(("https://es.example:9200",), user="hub", password="Geheim-1", api_key="Geheim-2")
    assert "Geheim" not in repr(access)
    assert Search(20261124).tokens == []


# --- what a lookup costs ----------------------------------------------------------------------------------------------


def requests_taken() -> dict[str, int]:
    """The number of requests that the server has received, by route."""
    (node,) = request("GET", "/_nodes/stats/http")["nodes"].values()
    return {route: found["requests"]["count"] for route, found in node["http"]["routes"].items()}


def test_a_lookup_is_one_request(fed: City) -> None:
    """Not counting two per second and process: the current generation and its position."""
    held(fed)
    before, began = requests_taken(), time.monotonic()
    for _ in range(20):
        held(fed)
    seconds, after = time.monotonic() - began, requests_taken()
    taken = {route: count - before.get(route, 0) for route, count in after.items() if count != before.get(route)}
    taken.pop("/_nodes/stats/{metric}", None)
    assert taken.pop("/_msearch") == 20
    assert sum(taken.values()) <= 2 * (seconds + 1), taken


def test_a_lookup_that_began_with_the_former_generation_lacks_nothing(fed: City) -> None:
    expected = held(fed)
    asked = engine(fed).answering(marks.POSITION)
    fed.parts.directory.rebuild()
    new = push(fed, "D-1", [c.LIN])
    fed.parts.directory.sequence()
    fed.parts.directory.feed()  # into the new one alone
    engine(fed)._known = (marks.POSITION, time.monotonic() + 60, asked)  # type: ignore[attr-defined]
    assert asked is not None
    assert asked[0] == "g1" != engine(fed).current()
    party = parties_of(fed, new)
    today = fed.clock.today()
    holdings = fed.parts.lookup._holdings
    found_now = {v.identifier for v in holdings.of_party(party, (c.CLEAN_RECORD,), today)}
    assert new in found_now
    assert held(fed) == expected
    assert not holdings._down_until
    engine(fed).drop("g1")
    assert held(fed) == expected  # the one that was known is gone: the repository answers
    assert holdings._down_until


def parties_of(city: City, identifier: str) -> int:
    """The first holder of a certificate."""
    return next(entry.party for entry in all_entries(city) if entry.identifier == identifier)
