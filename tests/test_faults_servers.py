"""A database server and a search cluster that are killed, cut off and started again, under processes that are killed too.

Clients write down every answer; at the end whatever was acknowledged is there once, verifies, has its state in every
form, and stands in the directory. Prints how often each row of faults was tried.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hub.check import check
from hub.parts import Parts, open_parts
from hub.store.database import DatabaseUnavailable
from hub.worker import finish_due
from indexer.faults import DirectoryUnavailable
from tests import elastic, engines, netproxy
from tests.faults import scene as s
from tests.faults.child import settings_of
from tests.faults.stage import Stage, stage
from tests.postgres import Cluster
from tests.test_faults_journal import PUSHERS, Told

SECONDS = float(os.environ.get("HUB_FAULT_SECONDS") or (600.0 if os.environ.get("HUB_LONG") else 40.0))
PATIENCE_S = 60.0
AWAY_S = (0.1, 2.5)
DRAINED_S = 60.0


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with stage() as found:
        yield found


@dataclass
class Servers:
    """One of each, every connection to them through a proxy of ours."""

    database: Cluster
    index: elastic.Server
    to_database: netproxy.Proxy
    to_index: netproxy.Proxy

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "index_url": f"http://127.0.0.1:{self.to_index.port}",
            "index_prefix": f"{elastic.PREFIX}faults",
            "index_replicas": 0,
        }

    def database_url(self, name: str) -> str:
        return self.database.url(name).replace(f":{self.database.port}/", f":{self.to_database.port}/")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    database, index = Cluster(), elastic.server(tmp_path_factory.mktemp("index"))
    with netproxy.Proxy(database.port) as to_database, netproxy.Proxy(index.port) as to_index:
        yield Servers(database, index, to_database, to_index)
    index.remove()
    database.remove()


@dataclass
class Troupe:
    """The hub's processes and the clients, and the faults that they meet."""

    theatre: Stage
    servers: Servers
    orders: list[dict[str, Any]]
    tried: Counter[str] = field(default_factory=Counter)
    running: dict[int, int] = field(default_factory=dict)

    def begin(self) -> None:
        self.running = {n: self.theatre.start(**order) for n, order in enumerate(self.orders)}

    def trouble_for(self, seconds: float) -> None:
        faults = self.faults()
        until = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < until or turn < len(faults):  # each at least once
            name, fault = faults[turn % len(faults)] if turn < len(faults) else random.choice(faults)
            turn += 1
            fault()
            self.tried[name] += 1
            for _ in range(random.randrange(3)):
                self.kill_one()
            time.sleep(random.uniform(0.2, 1.0))

    def faults(self) -> list[tuple[str, Callable[[], None]]]:
        servers = self.servers
        return [
            ("database server killed", lambda: self._restarted(servers.database.kill, servers.database.start)),
            (
                "database server stopped in order",
                lambda: self._restarted(servers.database.stop, servers.database.start),
            ),
            ("database connections cut", servers.to_database.cut),
            ("database connections cut in an answer", lambda: servers.to_database.cut(random.randrange(1, 4000))),
            ("database unreachable", lambda: self._restarted(servers.to_database.refuse, servers.to_database.pass_)),
            ("database silent", lambda: self._restarted(servers.to_database.blackhole, servers.to_database.pass_)),
            ("directory node killed", lambda: self._restarted(servers.index.kill, servers.index.start)),
            ("directory connections cut in an answer", lambda: servers.to_index.cut(random.randrange(1, 4000))),
            ("directory unreachable", lambda: self._restarted(servers.to_index.refuse, servers.to_index.pass_)),
            ("directory silent", lambda: self._restarted(servers.to_index.blackhole, servers.to_index.pass_)),
            ("directory slow", self._slow_index),
        ]

    def kill_one(self) -> None:
        n = random.choice(list(self.running))
        with suppress(ProcessLookupError):
            os.kill(self.running[n], 9)
        ended = self.theatre.end(self.running[n])
        assert ended.killed, ended
        self.tried[f"{self.orders[n]['act']} killed"] += 1
        self.running[n] = self.theatre.start(**self.orders[n])

    def _restarted(self, stop: Callable[[], None], start: Callable[[], None]) -> None:
        stop()
        time.sleep(random.uniform(*AWAY_S))
        start()

    def _slow_index(self) -> None:
        self.servers.to_index.delay(2.0)
        time.sleep(random.uniform(*AWAY_S))
        self.servers.to_index.pass_()

    def finish(self) -> None:
        for pid in self.running.values():
            ended = self.theatre.end(pid)
            assert ended.signal is None
            assert "value" in ended.value, ended.value


def test_what_was_acknowledged_is_there_whatever_failed(
    theatre: Stage, servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, stop = tmp_path / "data", tmp_path / "stop"
    engines.on_servers(data, servers.database_url(servers.database.create()), servers.settings)
    s.fill(settings_of(data))
    books = [str(tmp_path / f"journal-{index}") for index in range(PUSHERS)]
    acted = tmp_path / "journal-acts"
    shared = {"data": str(data), "patience_s": PATIENCE_S}
    orders = [
        {**shared, "act": "pusher", "with": {"journal": book, "index": index, "stop": str(stop)}}
        for index, book in enumerate(books)
    ]
    orders.append({**shared, "act": "revoker", "with": {"journal": str(acted), "books": books, "stop": str(stop)}})
    orders += [{**shared, "act": "worker", "with": {"stop": str(stop)}}] * 2
    troupe = Troupe(theatre, servers, orders)
    troupe.begin()
    troupe.trouble_for(SECONDS)
    stop.touch()
    troupe.finish()
    with open_parts(settings_of(data), clock=s.Later()) as parts:
        assert finish_due(parts) == 0
        told = Told(books, acted)
        assert told.answers > 30
        drained(parts)
        told.hold(parts)
        in_directory(parts)
    with capsys.disabled():
        print(f"\n  {told.answers} acknowledged answers held through {sum(troupe.tried.values())} faults:")
        for name, times in sorted(troupe.tried.items()):
            print(f"    {times:4} x {name}")


def drained(parts: Parts) -> None:
    """The directory knows everything, without anybody having asked for it but the worker's own steps."""
    deadline = time.monotonic() + DRAINED_S
    while True:
        with suppress(DirectoryUnavailable, DatabaseUnavailable):
            if parts.directory.sequence() + parts.directory.feed() == 0 and parts.directory.lag().changes == 0:
                return
        assert time.monotonic() < deadline, "the directory does not catch up"
        time.sleep(0.05)


def in_directory(parts: Parts) -> None:
    """Every version's certificate stands there as its rows say, and nothing else does."""
    report = parts.directory.compare()
    assert report is not None
    assert report.differences == []
    assert check(parts).findings == []
