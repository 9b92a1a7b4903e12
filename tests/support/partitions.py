"""The schema with its growing tables partitioned as design.md describes: for a city of 20 million certificates."""

from typing import Any

HASHED = {
    "parties": "party",
    "blind_index": "kind, key_number, hash",
    "handles": "kind, value",
    "cases": "source, case_number",
    "intents": "source, case_number",
    "certificates": "home",
    "versions": "home",
    "holdings": "party",
    "successions": "version_key",
    "acts": "home",
    "documents": "home",
}
"""Partitioned by hash of the partition key, which is the first part of the primary key, or all of it for registries."""
BY_TIME = {"pushes": "month", "retrievals": "month", "audit": "month", "seen": "day", "seen_counts": "day"}
MODULUS = 7


def partition(connection: Any) -> None:
    """Replace the empty tables with partitioned ones, including all their indexes and triggers.

    The server rejects a unique index that does not contain the partition key.
    """
    for table, key in {**HASHED, **BY_TIME}.items():
        with connection.transaction():
            triggers = [
                row[0]
                for row in connection.execute(
                    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal",
                    [table],
                )
            ]
            how = "HASH" if table in HASHED else "RANGE"
            connection.execute(f"ALTER TABLE {table} RENAME TO plain")
            connection.execute(f"CREATE TABLE {table} (LIKE plain INCLUDING ALL) PARTITION BY {how} ({key})")
            for name, bounds in _parts(table):
                connection.execute(f"CREATE TABLE {name} PARTITION OF {table} {bounds}")
            connection.execute("DROP TABLE plain")
            for trigger in triggers:
                connection.execute(trigger)


def _parts(table: str) -> list[tuple[str, str]]:
    if table in HASHED:
        return [(f"{table}_{n}", f"FOR VALUES WITH (MODULUS {MODULUS}, REMAINDER {n})") for n in range(MODULUS)]
    step = 100 if table.startswith("seen") else 1
    months = [year * 100 + month for year in range(2025, 2028) for month in range(1, 13)]
    found = [(f"{table}_{month}", f"FOR VALUES FROM ({month * step}) TO ({(month + 1) * step})") for month in months]
    return [*found, (f"{table}_others", "DEFAULT")]


def spread(connection: Any, table: str) -> int:
    """How many partitions of a table have rows."""
    row = connection.execute(f"SELECT COUNT(DISTINCT tableoid) FROM {table}").fetchone()
    return int(row[0])


def unique_indexes(connection: Any) -> dict[str, list[str]]:
    """The columns of every primary key and unique index, by table, without those of partitions."""
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        "SELECT c.relname, array_agg(a.attname ORDER BY k.n)::text || coalesce(pg_get_expr(i.indpred, i.indrelid), '')"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema()"
        " CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k(attnum, n)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum"
        " WHERE i.indisunique AND NOT c.relispartition GROUP BY c.relname, i.indexrelid, i.indpred, i.indrelid"
    ).fetchall()
    for table, columns in rows:
        found.setdefault(table, []).append(columns)
    return {table: sorted(columns) for table, columns in found.items()}
