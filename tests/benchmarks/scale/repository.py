"""The database alone, with the same rows but without the hub, and the size of the rows."""

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from hub.db.tables import metadata
from hub.settings import Settings
from tests.benchmarks import floors

Tables = Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
WITHIN = ("certificates", "versions", "holdings", "handles", "blind_index", "parties", "cases", "acts", "ledger")
"""The tables that hold a certificate, in the order of the printed table."""


class Bare(Protocol):
    """A database without the hub: its name, and its fastest way to load."""

    engine: str
    name: str

    def insert(self, tables: Tables) -> float:
        """Insert rows in one commit as fast as possible; returns the seconds, without encoding the rows."""
        ...

    def delete(self, tables: Tables) -> None:
        """Delete the same rows again."""
        ...

    def settle(self) -> None:
        """Maintenance after a load, as a server does it in the background: statistics, and space of deleted rows."""
        ...

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Bytes of every table, and of its indexes."""
        ...

    def commits(self, seconds: float) -> float:
        """Commits per second of five small rows."""
        ...


def bare(settings: Settings) -> Bare:
    """The bare database that corresponds to a hub with these settings."""
    if settings.database_url is not None:
        from tests.benchmarks.scale.postgres import BarePostgres

        return BarePostgres(settings)
    return BareSqlite(settings.data_dir / "hub.db")


def keys_of(table: str) -> list[str]:
    """The columns of the primary key."""
    return [column.name for column in metadata.tables[table].primary_key.columns]


class BareSqlite:
    """The file, opened as by the hub."""

    engine = "SQLite"
    name = "executemany"

    def __init__(self, path: Path) -> None:
        self._path = path

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16000")
        return connection

    def insert(self, tables: Tables) -> float:
        """`executemany` of tuples, one table after another."""
        made = [(_insertion(name, rows[0]), [tuple(row.values()) for row in rows]) for name, rows in tables if rows]
        return self._timed(made)

    def delete(self, tables: Tables) -> None:
        """Delete by key, with the triggers that forbid it dropped meanwhile."""
        with closing(self._connect()) as connection:
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        made: list[tuple[str, Sequence[Sequence[Any]]]] = [(f"DROP TRIGGER {name}", [()]) for name, _ in triggers]
        for name, rows in tables:
            where = " AND ".join(f"{key} = ?" for key in keys_of(name))
            made.append((f"DELETE FROM {name} WHERE {where}", [[row[key] for key in keys_of(name)] for row in rows]))
        self._timed([*made, *((sql, [()]) for _, sql in triggers)])

    def _timed(self, statements: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> float:
        with closing(self._connect()) as connection:
            begun = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                connection.executemany(sql, rows)
            connection.execute("COMMIT")
            return time.perf_counter() - begun

    def settle(self) -> None:
        """Checkpoint the WAL."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> dict[str, tuple[int, int]]:
        """The whole file: this engine stores rows in the index of their key."""
        return {"hub.db": (self._path.stat().st_size, 0)}

    def commits(self, seconds: float) -> float:
        """On a separate file."""
        path = self._path.with_name("commits.db")
        try:
            return floors.commits(path, seconds)
        finally:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def _insertion(table: str, row: Mapping[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
