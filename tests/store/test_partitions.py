"""The growth tables partitioned by hash and by time: what must be unique in the whole city stays unique under races.

Rows that compete for a unique value have different homes, so partitions on their own would accept each of them.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.db import engines as store_engines
from hub.db import schema
from hub.db.database import Database, Duplicate
from hub.ops import check as checking
from hub.parts import open_parts
from hub.settings import Settings
from tests.faults import scene as s
from tests.faults.acts import accepted, certificate, completed, invented_person
from tests.faults.child import settings_of
from tests.faults.forkserver import ForkServer, fork_server
from tests.support import partitions, postgres

AT_ONCE = 12
Row = dict[str, Any]


class City:
    """A hub on partitioned tables; `name` is the database's."""

    def __init__(self, folder: Path) -> None:
        cluster = postgres.shared()
        plain, self.name = cluster.create(), cluster.create()
        folder.with_name(f"{folder.name}.database").write_text(cluster.url(self.name))  # for other processes
        self.settings = settings_of(folder)
        for name in (plain, self.name):
            url = cluster.url(name)
            schema.migrate(store_engines.place_of(Settings(data_dir=folder, database_url=url)))
        with cluster.connect(plain) as connection:
            self.unique = partitions.unique_indexes(connection)
        with cluster.connect(self.name) as connection:
            partitions.partition(connection)
        cluster.drop(plain)
        self.identifiers = s.fill(self.settings)

    def connect(self) -> Any:
        return postgres.shared().connect(self.name)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    postgres.require()
    found = City(tmp_path_factory.mktemp("partitioned") / "data")
    yield found
    postgres.shared().drop(found.name)


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


def race(forkserver: ForkServer, city: City, *orders: Row) -> list[Any]:
    """The result of each: the status, or the code of the refusal."""
    ended = forkserver.run(*({"data": str(city.settings.data_dir), **order} for order in orders))
    assert all("refused" in one.value or "value" in one.value for one in ended), ended
    return sorted((one.value.get("refused") or one.value["value"]["status"] for one in ended), key=str)


def push(case: str, body: Row) -> Row:
    return {"act": "push", "with": {"case": case, "body": body}}


def agrees(city: City) -> bool:
    with open_parts(city.settings) as parts:
        assert checking.check(parts).findings == []
        while parts.directory.sequence():
            pass
    return True


# --- the schema ------------------------------------------------------------------------------------------------------


def test_everything_that_is_unique_without_partitions_is_with_them(city: City) -> None:
    with city.connect() as connection:
        assert partitions.unique_indexes(connection) == city.unique
        kinds = dict(
            connection.execute(
                "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
                " AND relkind IN ('r', 'p') AND NOT relispartition"
            ).fetchall()
        )
    assert {table for table, kind in kinds.items() if kind == "p"} == {*partitions.HASHED, *partitions.BY_TIME}


# --- rows ------------------------------------------------------------------------------------------------------------


def handle(kind: int) -> Callable[[int], tuple[str, Row]]:
    return lambda n: (
        "handles",
        {"kind": kind, "value": f"same-{kind}", "home": 1000 + n, "certificate": n, "version": 1, "receipt": None},
    )


def blind(kind: int) -> Callable[[int], tuple[str, Row]]:
    same = {"kind": kind, "key_number": 1, "hash": b"same" * 4}
    return lambda n: ("blind_index", {**same, "target": n, "home": 1000 + n, "rules": 1})


def case(n: int) -> tuple[str, Row]:
    at = {"amendment": 0, "accepted_at": 1, "completed_at": None, "revision": 0, "recorded_at": n, "sealed": b""}
    whose = {"authority": f"{n}", "accepted_by": f"{n}", "status": 1, "matter": "m"}
    return "cases", {"source": "same", "case_number": "same", **whose, **at}


def intent(n: int) -> tuple[str, Row]:
    values = {"amendment": 0, "key_ids": "", "attempts": 0, "next_attempt_at": 1, "voided": 0, "reserved_at": 1}
    return "intents", {"source": "same", "case_number": "same", "intent": 1000 + n, "sealed": b"", **values}


def succession(n: int) -> tuple[str, Row]:
    return "successions", {"version_key": 7, "source": "s", "case_number": f"{n}"}


def document(n: int) -> tuple[str, Row]:
    key = {"home": 7, "certificate": 7, "version": 1, "kind": 1, "receipt": ""}
    values = {"sha256": bytes([n]) * 32, "file": f"{n}", "size": n, "key_number": 1, "recorded_at": n}
    return "documents", {**key, **values}


def assertion(n: int) -> tuple[str, Row]:
    return "jtis", {"client": "same", "jti": "same", "expires_at": n}


def retrieval(n: int) -> tuple[str, Row]:
    """Insert a receipt in its month."""
    numbers = {"party": n, "home": 1000 + n, "certificate": n, "version": 1, "at": n, "expires_on": 20260101}
    texts = dict.fromkeys(("source", "case_number", "clerk", "clerk_authority", "client", "state"), f"{n}")
    return "retrievals", {"month": 202611, "receipt": "same", **numbers, **texts, "sealed": b""}


UNIQUE: dict[str, Callable[[int], tuple[str, Row]]] = {
    "identifier": handle(1),
    "public code": handle(2),
    "copy code": handle(3),
    "party": blind(1),
    "number": blind(2),
    "case": case,
    "open intent": intent,
    "succession": succession,
    "document": document,
    "assertion": assertion,
    "receipt": retrieval,
}


def at_once(database: Database, row: Callable[[int], tuple[str, Row]]) -> list[int]:
    """Insert in one open transaction per thread, all at once; returns whose row was kept."""
    together = threading.Barrier(AT_ONCE)
    kept: list[int] = []

    def insert(n: int) -> None:
        try:
            with database.write() as writer:
                together.wait()
                writer.insert(*row(n))
        except Duplicate:
            return
        kept.append(n)

    threads = [threading.Thread(target=insert, args=(n,)) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return kept


@pytest.mark.parametrize("thing", UNIQUE)
def test_of_rows_that_want_the_same_one_is_kept(city: City, thing: str) -> None:
    settings = city.settings.model_copy(update={"database_connections": AT_ONCE + 2})
    table, _ = UNIQUE[thing](0)
    with city.connect() as connection, connection.transaction(force_rollback=False):
        before = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    database = store_engines.opened(store_engines.place_of(settings))
    try:
        kept = at_once(database, UNIQUE[thing])
    finally:
        database.close()
    assert len(kept) == 1
    with city.connect() as connection:
        assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] == before + 1
        of_it = UNIQUE[thing](kept[0])[1]
        words = " AND ".join(f"{name} = %({name})s" for name, value in of_it.items() if value is not None)
        assert connection.execute(f"DELETE FROM {table} WHERE {words}", of_it).rowcount == 1


def test_what_only_grows_cannot_be_changed_in_any_partition(city: City) -> None:
    with city.connect() as connection:
        for table in ("acts", "audit"):
            [name] = connection.execute(f"SELECT tableoid::regclass::text FROM {table} LIMIT 1").fetchone()
            for statement in (f"DELETE FROM {table}", f"DELETE FROM {name}", f"UPDATE {name} SET client = 'x'"):
                with pytest.raises(Exception, match="append-only"):
                    connection.execute(statement)


# --- and the hub on them ---------------------------------------------------------------------------------------------


def test_twenty_processes_that_push_one_case_make_one_certificate(forkserver: ForkServer, city: City) -> None:
    body = completed(certificate("分〔2026〕一", s.NEW))
    assert race(forkserver, city, *[push("P-ONE", body)] * 20) == [200] * 19 + [201]
    with open_parts(city.settings) as parts:
        assert [v.number for v in s.versions(parts)].count("分〔2026〕一") == 1
    assert agrees(city)


def test_a_number_is_assigned_once_whatever_its_partition(forkserver: ForkServer, city: City) -> None:
    """Eight cases of eight people, whose homes are in several partitions."""
    orders = [push(f"P-N{n}", completed(certificate("分〔2026〕二", invented_person(300 + n)))) for n in range(8)]
    assert race(forkserver, city, *orders) == [201, *["number.taken"] * 7]
    assert agrees(city)


def test_a_person_whom_many_cases_bring_is_one_party(forkserver: ForkServer, city: City) -> None:
    who = invented_person(400)
    orders = [
        push(f"P-P{n}", completed(certificate(f"分〔2026〕三{n}", invented_person(401 + n), who))) for n in range(4)
    ]
    orders += [push(f"P-A{n}", accepted(who, invented_person(405 + n))) for n in range(4)]
    assert race(forkserver, city, *orders) == [201] * 8
    with open_parts(city.settings) as parts:
        holders = {v.parties[1] for v in s.versions(parts) if v.number.startswith("分〔2026〕三")}
    assert len(holders) == 1
    assert agrees(city)


def test_a_certificate_has_one_successor(forkserver: ForkServer, city: City) -> None:
    both = city.identifiers[s.A], city.identifiers[s.B]
    orders = [
        push(
            f"P-S{n}",
            completed(certificate(f"分〔2026〕四{n}", invented_person(500 + n), supersedes=both[:: 1 - 2 * (n % 2)])),
        )
        for n in range(6)
    ]
    assert race(forkserver, city, *orders) == [201, *["certificate.move"] * 5]
    assert agrees(city)


def test_rows_lie_in_several_partitions(forkserver: ForkServer, city: City) -> None:
    orders = [push(f"P-M{n}", completed(certificate(f"分〔2026〕五{n}", invented_person(600 + n)))) for n in range(12)]
    assert race(forkserver, city, *orders) == [201] * 12
    with city.connect() as connection:
        many = {table: partitions.spread(connection, table) for table in partitions.HASHED}
    few = {"intents", "documents", "successions"}
    assert min(n for table, n in many.items() if table not in few) >= 4, many
