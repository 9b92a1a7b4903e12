"""The service role's privileges on each table in PostgreSQL; `hub init` grants exactly these and revokes all others.

The service may SELECT from and INSERT into every table. Tables not listed below are never updated or deleted from:
acts, audit and ledger are append-only, and rows that guarantee the uniqueness of identifiers, numbers and successions
are permanent. A rotation of data keys re-seals an act through a function that changes nothing else.
"""

from psycopg import sql

UPDATED = frozenset(
    [
        "parties",
        "cases",
        "case_uses",
        "pushes",
        "intents",
        "certificates",
        "versions",
        "holdings",
        "documents",
        "cursors",
        "index_dead",
        "retrievals",
        "seen_counts",
        "id_blocks",
        "data_keys",
        "signing_keys",
        "x509_certificates",
        "clients",
        "client_keys",
        "clerks",
        "authorities",
        "types",
        "matters",
        "public_urls",
        "alarms",
    ]
)
ONLY_ADDED = frozenset(
    [
        "acts",
        "audit",
        "blind_index",
        "case_numbers",
        "editions",
        "handles",
        "jtis",
        "ledger",
        "materials",
        "outbox",
        "seen",
        "successions",
    ]
)
DELETED = frozenset(
    ["blind_index", "intents", "outbox", "cursors", "index_dead", "seen", "seen_counts", "jtis", "materials"]
)
READ_ONLY = "alembic_version"

_LINES = (
    "SELECT t.name FROM unnest(%s::text[]) AS w(line), LATERAL (SELECT split_part(w.line, ' ', 1) AS name,"
    " to_regclass(split_part(w.line, ' ', 1)) AS place, string_to_array(split_part(w.line, ' ', 2), ',') AS rights) t"
    " WHERE t.place IS NOT NULL AND "
)
MISSING = (
    _LINES + "EXISTS (SELECT 1 FROM unnest(t.rights) AS r(one)"  # noqa: S608 (constants)
    " WHERE NOT has_table_privilege(current_user, t.place, r.one)) ORDER BY t.name"
)
"""Given lines `table right,right`: the tables on which the current user lacks a right. Missing tables are skipped."""
BEYOND = (
    _LINES + "(EXISTS (SELECT 1 FROM unnest(t.rights) AS r(one)"  # noqa: S608
    " WHERE has_table_privilege(current_user, t.place, r.one))"
    " OR pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = t.place), 'USAGE')) ORDER BY t.name"
)
"""Given such lines: the tables on which the current user has one of the rights, or is the owner, who can grant them."""


def rights_of(table: str) -> list[str]:
    """The rights that the service needs on a table."""
    found = ["SELECT"]
    if table != READ_ONLY:
        found.append("INSERT")
    if table in UPDATED:
        found.append("UPDATE")
    if table in DELETED:
        found.append("DELETE")
    return found


def fitting(tables: frozenset[str] = UPDATED | ONLY_ADDED | {READ_ONLY}) -> list[str]:
    """Lines for MISSING."""
    return [f"{table} {','.join(rights_of(table))}" for table in sorted(tables)]


def not_needed(tables: frozenset[str] = UPDATED | ONLY_ADDED | {READ_ONLY}) -> list[str]:
    """Lines for BEYOND."""
    writing = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
    return [
        f"{table} {','.join(right for right in writing if right not in rights_of(table))}" for table in sorted(tables)
    ]


def grants(schema: str, tables: list[str], role: str) -> list[sql.Composed]:
    """Statements that grant a role exactly these rights, revoke all others, and let it re-seal acts."""
    name = sql.Identifier(role)
    found = [sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), name)]
    for table in tables:
        rights = sql.SQL(", ".join(rights_of(table)))
        found.append(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), name))
        found.append(sql.SQL("GRANT {} ON {} TO {}").format(rights, sql.Identifier(table), name))
    found.append(
        sql.SQL("GRANT EXECUTE ON FUNCTION reseal_act(bigint, bigint, integer, bytea, bytea) TO {}").format(name)
    )
    return found
