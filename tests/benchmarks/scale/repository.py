"""The database by itself: what it does with the same rows when no hub is in the way, and how large they are."""

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
"""What a certificate is made of, in the order of a table."""


class Bare(Protocol):
    """A database without the hub: what it is called, and what loads it fastest."""

    engine: str
    name: str

    def insert(self, tables: Tables) -> float:
        """Insert rows in one commit as fast as it can be done; seconds, from rows that are encoded already."""
        ...

    def delete(self, tables: Tables) -> None:
        """Take the same rows away again."""
        ...

    def settle(self) -> None:
        """What a server does by itself after a load: statistics, and the room of deleted rows."""
        ...

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Bytes of every table, and of its indexes."""
        ...

    def commits(self, seconds: float) -> float:
        """Commits a second of five small rows."""
        ...


def bare(settings: Settings) -> Bare:
    """Beside a hub with these settings."""
    if settings.database_url is not None:
        from tests.benchmarks.scale.postgres import BarePostgres

        return BarePostgres(settings)
    return BareSqlite(settings.data_dir / "hub.db")


def keys_of(table: str) -> list[str]:
    """The primary key's columns."""
    return [column.name for column in metadata.tables[table].primary_key.columns]


class BareSqlite:
    """The file, opened as the hub opens it."""

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
        """`executemany` of tuples, a table after the other."""
        made = [(_insertion(name, rows[0]), [tuple(row.values()) for row in rows]) for name, rows in tables if rows]
        return self._timed(made)

    def delete(self, tables: Tables) -> None:
        """By their keys, with the triggers that forbid it put aside."""
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
        """Move the log into the file."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> dict[str, tuple[int, int]]:
        """The whole file: this engine keeps rows in the index of their key."""
        return {"hub.db": (self._path.stat().st_size, 0)}

    def commits(self, seconds: float) -> float:
        """On a file of its own."""
        path = self._path.with_name("commits.db")
        try:
            return floors.commits(path, seconds)
        finally:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def _insertion(table: str, row: Mapping[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
