"""A private database server and search cluster, each behind a proxy, and what must hold after their faults."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.db.database import DatabaseUnavailable
from hub.ops.check import check
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.worker import finish_due
from indexer.errors import DirectoryUnavailable
from tests.faults import scene as s
from tests.faults.child import settings_of
from tests.faults.test_journal import Acknowledged
from tests.support import elastic, engines, netproxy
from tests.support.postgres import Cluster

AWAY_S = (0.1, 2.5)
DRAINED_S = 60.0
Fault = Callable[[], None]


@dataclass
class Servers:
    """One database server and the nodes of one search cluster, with a proxy of ours in every connection."""

    database: Cluster
    nodes: elastic.Cluster
    to_database: netproxy.Proxy
    to_nodes: list[netproxy.Proxy]

    @property
    def index(self) -> elastic.Server:
        """The node, if there is only one."""
        return self.nodes.nodes[0]

    @property
    def to_index(self) -> netproxy.Proxy:
        """The proxy of the node, if there is only one."""
        return self.to_nodes[0]

    def hub(self, data: Path) -> None:
        """A new hub in a database of its own, with its own indexes, for every process of these tests."""
        base = self.database.create()
        url = self.database.url(base)
        index = {
            "index_url": ",".join(f"http://127.0.0.1:{proxy.port}" for proxy in self.to_nodes),
            "index_prefix": f"{elastic.PREFIX}{base}",
            "index_replicas": min(1, len(self.nodes.nodes) - 1),
        }
        engines.on_servers(data, url.replace(f":{self.database.port}/", f":{self.to_database.port}/"), index)
        s.fill(settings_of(data))

    def environment(self, settings: Settings) -> dict[str, str]:
        """The environment of `hub serve` and `hub work` on such a hub."""
        return {
            **engines.environment(settings),
            "HUB_INDEX_URL": str(settings.index_url),
            "HUB_INDEX_PREFIX": settings.index_prefix,
            "HUB_INDEX_REPLICAS": str(settings.index_replicas),
        }

    def mend(self) -> None:
        """Restore all connections."""
        for proxy in (self.to_database, *self.to_nodes):
            proxy.pass_()


@contextmanager
def servers(folder: Path, *, nodes: int = 1) -> Iterator[Servers]:
    """Started; removed at the end."""
    with ExitStack() as stack:
        if nodes == 1:
            found = elastic.Cluster([elastic.server(folder / "index")])
        else:
            found = elastic.cluster(folder / "index", nodes)
        stack.callback(found.remove)
        yield stack.enter_context(with_database(found))


@contextmanager
def with_database(nodes: elastic.Cluster, **settings: Any) -> Iterator[Servers]:
    """These nodes, and a database server that is started and removed; settings: as for `postgres.Cluster`."""
    with ExitStack() as stack:
        held = Cluster(**settings)
        stack.callback(held.remove)
        to_database = stack.enter_context(netproxy.Proxy(held.port))
        to_nodes = [stack.enter_context(netproxy.Proxy(node.port)) for node in nodes.nodes]
        yield Servers(held, nodes, to_database, to_nodes)


# --- faults -----------------------------------------------------------------------------------------------------------


def away(stop: Fault, start: Fault) -> Fault:
    """Stopped for a moment."""

    def fault() -> None:
        stop()
        time.sleep(random.uniform(*AWAY_S))
        start()

    return fault


def database_faults(found: Servers) -> dict[str, Fault]:
    """Faults of the database server and of the network to it."""
    server, way = found.database, found.to_database
    return {
        "database server killed": away(server.kill, server.start),
        "database server stopped in order": away(server.stop, server.start),
        "database connections cut": way.cut,
        "database connections cut in an answer": lambda: way.cut(random.randrange(1, 4000)),
        "database unreachable": away(way.refuse, way.pass_),
        "database silent": away(way.blackhole, way.pass_),
    }


def directory_faults(found: Servers) -> dict[str, Fault]:
    """Faults of a single node and of the network to it."""
    node, way = found.index, found.to_index
    return {
        "directory node killed": away(node.kill, node.start),
        "directory connections cut in an answer": lambda: way.cut(random.randrange(1, 4000)),
        "directory unreachable": away(way.refuse, way.pass_),
        "directory silent": away(way.blackhole, way.pass_),
        "directory slow": away(lambda: way.delay(2.0), way.pass_),
    }


def cluster_faults(found: Servers) -> dict[str, Fault]:
    """Losses of some of three nodes, which come back."""
    nodes = found.nodes

    def lose(*lost: elastic.Server) -> None:
        for node in lost:
            node.kill()
        time.sleep(random.uniform(*AWAY_S))
        for node in lost:
            node.start(wait=False)
        for node in lost:
            node.wait(len(nodes.nodes))

    def master_and_others() -> tuple[elastic.Server, list[elastic.Server]]:
        master = nodes.master()
        return master, [node for node in nodes.nodes if node is not master]

    def freeze_master() -> None:
        master = nodes.master()
        master.freeze()
        time.sleep(random.uniform(*AWAY_S))
        master.freeze(signal.SIGCONT)

    return {
        "the master of three lost": lambda: lose(nodes.master()),
        "a data node of three lost": lambda: lose(random.choice(master_and_others()[1])),
        "the majority lost, its master with it": lambda: lose(nodes.master(), master_and_others()[1][0]),
        "the majority lost, the master alone": lambda: lose(*master_and_others()[1]),
        "the master of three stands still": freeze_master,
    }


# --- assertions -------------------------------------------------------------------------------------------------------


def hold(data: Path, acknowledged: Acknowledged, *, least: int = 10, clock: Any = None) -> None:
    """Everything acknowledged in the journals is there, once, in its state, in every view; and nothing else is."""
    with open_parts(settings_of(data), clock=clock or s.Later()) as parts:
        assert finish_due(parts) == 0  # every push was eventually answered, so no intent is open
        assert acknowledged.answers >= least, f"only {acknowledged.answers} answers"
        drained(parts)
        if clock is not None:  # with the clock this far ahead, files left by a kill are due for the worker's sweep
            parts.documents.sweep(parts.clock.now(), everything=True)
        acknowledged.hold(parts)
        in_directory(parts)


def drained(parts: Parts) -> None:
    """The directory is complete, by the worker's own steps alone."""
    deadline = time.monotonic() + DRAINED_S
    while True:
        with suppress(DirectoryUnavailable, DatabaseUnavailable):
            if parts.directory.sequence() + parts.directory.feed() == 0 and parts.directory.lag().changes == 0:
                return
        assert time.monotonic() < deadline, "the directory does not catch up"
        time.sleep(0.05)


def in_directory(parts: Parts) -> None:
    """The directory finds every version's certificate as in its rows, and nothing else; all checks pass."""
    report = parts.directory.compare()
    assert report is not None
    assert report.differences == [], report.differences[:3]
    findings = check(parts).findings
    assert findings == [], findings[:3]
