"""PostgreSQL without the hub: COPY into the same tables, pgbench, and the sizes reported by its system catalogue."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from hub.settings import Settings
from tests.benchmarks.scale.repository import Tables, keys_of
from tests.support import postgres

_SCRIPT = """\\set n random(1, 1000000000)
BEGIN;
{insert}
COMMIT;
"""
_INSERT = "INSERT INTO commits_floor VALUES (:n, decode(repeat('5a', 400), 'hex'));"
_SIZES = """
SELECT c.relname, SUM(pg_table_size(p.oid)), SUM(pg_indexes_size(p.oid))
FROM pg_class c CROSS JOIN LATERAL (
  SELECT c.oid WHERE c.relkind = 'r' UNION ALL SELECT t.relid FROM pg_partition_tree(c.oid) t WHERE t.isleaf AND c.relkind = 'p'
) p
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname
"""


@contextmanager
def temporary() -> Iterator[str]:
    """The URL of an empty database on a temporary server, with memory settings suitable for a small city."""
    cluster = postgres.Cluster(
        shared_buffers="2GB", max_wal_size="8GB", checkpoint_timeout="15min", maintenance_work_mem="256MB"
    )
    try:
        yield cluster.url(cluster.create())
    finally:
        cluster.remove()


class BarePostgres:
    """One connection as the user in the URL, who must own the tables."""

    engine = "PostgreSQL"
    name = "COPY"

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        self._conninfo = re.sub(r"^postgresql\+psycopg://", "postgresql://", settings.database_url)

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._conninfo, autocommit=True)

    def insert(self, tables: Tables) -> float:
        """COPY of text encoded in advance, one table after another."""
        made = [(name, tuple(rows[0]), _text(rows)) for name, rows in tables if rows]
        with self._connect() as connection:
            begun = time.perf_counter()
            with connection.transaction(), connection.cursor() as cursor:
                for name, columns, text in made:
                    with cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN") as copy:
                        copy.write(text)
            return time.perf_counter() - begun

    def delete(self, tables: Tables) -> None:
        """Delete by key, bypassing the triggers that forbid it."""
        with self._connect() as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            for name, rows in tables:
                keys = keys_of(name)
                where = " AND ".join(f"{key} = %s" for key in keys)
                with connection.cursor() as cursor:
                    cursor.executemany(f"DELETE FROM {name} WHERE {where}", [[row[k] for k in keys] for row in rows])

    def settle(self) -> None:
        """VACUUM and ANALYZE."""
        with self._connect() as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def sizes(self) -> dict[str, tuple[int, int]]:
        """By table, including TOAST."""
        with self._connect() as connection:
            return {name: (int(table), int(indexes)) for name, table, indexes in connection.execute(_SIZES).fetchall()}

    def commits(self, seconds: float) -> float:
        """With pgbench and four clients: five statements and a commit."""
        pgbench = postgres.require() / "pgbench"
        with self._connect() as connection:
            connection.execute("CREATE TABLE commits_floor (n BIGINT, content BYTEA)")
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "script.sql"
            script.write_text(_SCRIPT.format(insert="\n".join([_INSERT] * 5)))
            words = ["-n", "-f", str(script), "-c", "4", "-j", "1", "-M", "prepared", "-T", str(max(1, round(seconds)))]
            done = subprocess.run(
                [str(pgbench), *words, self._conninfo],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        with self._connect() as connection:
            connection.execute("DROP TABLE commits_floor")
        found = re.search(r"tps = ([0-9.]+)", done.stdout)
        assert found is not None, done.stdout
        return float(found[1])


def _text(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """COPY's text format."""
    return b"".join(b"\t".join(map(_field, row.values())) + b"\n" for row in rows)


def _field(value: Any) -> bytes:
    if value is None:
        return b"\\N"
    if isinstance(value, bytes):
        return b"\\\\x" + value.hex().encode()
    text = str(value)
    for character, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, written)
    return text.encode()
