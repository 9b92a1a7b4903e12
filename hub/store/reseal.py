"""The reads and writes of a data key rotation, in batches; every statement can be repeated safely."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hub.db.database import Reader, Writer
from hub.db.sealed_columns import SEALED
from hub.domain.numbers import number_text, party_text
from hub.store import documents, intents, postgres_guards
from hub.store.parties import NUMBER, PARTY
from hub.store.sealing import RowKey, key_text, unseal
from hub.vault import KeyPurpose, KeyState, Vault, VaultError, WrappedKey

BLIND_KINDS = (PARTY, NUMBER)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key as shown in lists; times are µs UTC."""

    number: int
    purpose: KeyPurpose
    state: KeyState
    created_at: int


def data_keys(reader: Reader) -> list[DataKey]:
    """All data keys, without secrets."""
    rows = reader.all("SELECT number, purpose, state, created_at FROM data_keys ORDER BY number")
    return [DataKey(r["number"], KeyPurpose(r["purpose"]), KeyState(r["state"]), r["created_at"]) for r in rows]


def change_state(writer: Writer, number: int, before: KeyState, after: KeyState) -> bool:
    """Change a data key's state; False if it was not in state `before`."""
    values = {"number": number, "before": int(before), "after": int(after)}
    return writer.run("UPDATE data_keys SET state = :after WHERE number = :number AND state = :before", values) == 1


def rewrap(writer: Writer, before: WrappedKey, after: WrappedKey) -> bool:
    """Replace the wrapping of a data key; False if another process has."""
    return (
        writer.run(
            "UPDATE data_keys SET wrapped = :after WHERE number = :number AND wrapped = :before",
            {"number": before.number, "before": before.wrapped, "after": after.wrapped},
        )
        == 1
    )


def has_actions_after(reader: Reader, month: int, count: int) -> bool:
    """Whether at least `count` requests were recorded after a month (202611).

    Their numbers show cheaply whether this is possible, so most calls count no rows. After a restore, the numbers have
    a gap.
    """
    first = reader.one("SELECT id FROM audit WHERE month > :month ORDER BY month, id LIMIT 1", {"month": month})
    newest = reader.one("SELECT next FROM id_blocks WHERE name = 'audit'")
    if first is None or newest is None or int(newest["next"]) - int(first["id"]) < count:
        return False
    row = reader.one(
        "SELECT COUNT(*) AS n FROM (SELECT 1 FROM audit WHERE month > :month LIMIT :count) a",
        {"month": month, "count": count},
    )
    return row is not None and int(row["n"]) >= count


# --- seal keys -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One encrypted column."""

    label: str
    name: str
    key: tuple[str, ...]

    @property
    def table(self) -> str:
        """The table of the column."""
        return self.label.partition(".")[0]


COLUMNS = tuple(SealedColumn(*item) for item in SEALED)


def sealed_otherwise(
    reader: Reader, column: SealedColumn, number: int, after: RowKey | None, limit: int
) -> list[tuple[RowKey, bytes]]:
    """(primary key, encrypted value) of the next rows that are encrypted with a key other than `number`."""
    columns = ", ".join(column.key)
    beyond = "" if after is None else f"AND ({columns}) > ({_marks(column)})"
    rows = reader.all(
        f"SELECT {columns}, {column.name} AS sealed FROM {column.table}"  # noqa: S608 (names from SEALED)
        f" WHERE substr({column.name}, 2, 4) <> :number {beyond} ORDER BY {columns} LIMIT :limit",
        {"number": number.to_bytes(4, "big"), "limit": limit, **_values(after or ())},
    )
    return [(tuple(row[name] for name in column.key), row["sealed"]) for row in rows]


def reseal(vault: Vault, column: SealedColumn, key: RowKey, sealed: bytes) -> bytes | None:
    """The same content encrypted with the active key; None if it cannot be decrypted."""
    text = key_text(key)
    try:
        return vault.seal(column.label, text, vault.open(column.label, text, sealed))
    except VaultError:
        return None


def swap(writer: Writer, column: SealedColumn, key: RowKey, before: bytes, after: bytes) -> bool:
    """Compare and swap an encrypted value; False if another writer changed it first."""
    if column.table == "acts" and writer.engine == "postgresql":  # which the service may not update
        row = writer.one(postgres_guards.RESEAL_ACT, {"before": before, "after": after, **_values(key)})
        return row is not None and row["changed"] == 1
    where = " AND ".join(f"{name} = :k{i}" for i, name in enumerate(column.key))
    return (
        writer.run(
            f"UPDATE {column.table} SET {column.name} = :after"  # noqa: S608 (names from SEALED)
            f" WHERE {where} AND {column.name} = :before",
            {"before": before, "after": after, **_values(key)},
        )
        == 1
    )


def sealed_rows(reader: Reader) -> dict[int, int]:
    """The number of encrypted values and files by key number; scans all tables."""
    found = documents.count_by_key(reader)
    for column in COLUMNS:
        rows = reader.all(
            f"SELECT substr({column.name}, 2, 4) AS number, COUNT(*) AS n FROM {column.table}"  # noqa: S608
            f" WHERE {column.name} IS NOT NULL GROUP BY substr({column.name}, 2, 4)"
        )
        for row in rows:
            number = int.from_bytes(row["number"], "big")
            found[number] = found.get(number, 0) + row["n"]
    return found


def _marks(column: SealedColumn) -> str:
    return ", ".join(f":k{i}" for i in range(len(column.key)))


def _values(key: RowKey) -> dict[str, object]:
    return {f"k{i}": value for i, value in enumerate(key)}


# --- blind keys ------------------------------------------------------------------------------------------------------

Texts = list[tuple[int, str]]
"""(kind, text to hash) of rows of `blind_index`."""
Source = Callable[[Reader, Vault, RowKey, int], tuple[RowKey | None, int, Texts]]
"""Reads at most so many rows after a key: (last key or None at the end, undecryptable rows, texts)."""


def party_texts(reader: Reader, vault: Vault, after: RowKey, limit: int) -> tuple[RowKey | None, int, Texts]:
    """The identity numbers of all parties."""
    rows = reader.all(
        "SELECT party, sealed FROM parties WHERE party > :party ORDER BY party LIMIT :limit",
        {"party": (after or (-1,))[0], "limit": limit},
    )
    texts, damaged = [], 0
    for row in rows:
        try:
            _, id_type, id_number = unseal(vault, "parties", (row["party"],), row["sealed"])
            texts.append((PARTY, party_text(id_type, id_number)))
        except VaultError:
            damaged += 1
    return ((rows[-1]["party"],) if rows else None), damaged, texts


def reserved_texts(reader: Reader, vault: Vault, after: RowKey, limit: int) -> tuple[RowKey | None, int, Texts]:
    """The printed numbers of intents, including voided ones."""
    rows = reader.all(
        "SELECT * FROM intents WHERE (source, case_number, intent) > (:k0, :k1, :k2)"
        " ORDER BY source, case_number, intent LIMIT :limit",
        {"limit": limit, **_values(after or ("", "", -1))},
    )
    texts, damaged = [], 0
    for row in rows:
        try:
            planned = intents.of_row(vault, row).planned
            texts += [(NUMBER, number_text(p.authority, p.type_code, p.number)) for p in planned]
        except VaultError:
            damaged += 1
    last = (rows[-1]["source"], rows[-1]["case_number"], rows[-1]["intent"]) if rows else None
    return last, damaged, texts


def number_texts(reader: Reader, vault: Vault, after: RowKey, limit: int) -> tuple[RowKey | None, int, Texts]:
    """The printed numbers of all versions."""
    rows = reader.all(
        "SELECT v.home, v.certificate, v.version, v.sealed, c.authority, c.type FROM versions v"
        " JOIN certificates c ON c.home = v.home AND c.certificate = v.certificate"
        " WHERE (v.home, v.certificate, v.version) > (:k0, :k1, :k2)"
        " ORDER BY v.home, v.certificate, v.version LIMIT :limit",
        {"limit": limit, **_values(after or (-1, -1, -1))},
    )
    texts, damaged = [], 0
    for row in rows:
        key = (row["home"], row["certificate"], row["version"])
        try:
            number = unseal(vault, "versions", key, row["sealed"])["number"]
            texts.append((NUMBER, number_text(row["authority"], row["type"], number)))
        except VaultError:
            damaged += 1
    return ((rows[-1]["home"], rows[-1]["certificate"], rows[-1]["version"]) if rows else None), damaged, texts


TEXT_SOURCES: Sequence[Source] = (party_texts, reserved_texts, number_texts)
"""The order matters: an intent that is published during the walk has become a version before versions are read."""


def copy_blind(writer: Writer, kind: int, before: tuple[int, bytes], after: tuple[int, bytes]) -> bool:
    """Add the counterpart of a row of `blind_index` under another key; False if it exists, or the row does not."""
    return (
        writer.run(
            "INSERT INTO blind_index (kind, key_number, hash, target, home, rules)"
            " SELECT kind, :new_number, :new_hash, target, home, rules FROM blind_index"
            " WHERE kind = :kind AND key_number = :number AND hash = :hash"
            " ON CONFLICT (kind, key_number, hash) DO NOTHING",
            {"kind": kind, "number": before[0], "hash": before[1], "new_number": after[0], "new_hash": after[1]},
        )
        == 1
    )


def blind_rows(reader: Reader) -> dict[tuple[int, int], int]:
    """The number of rows of `blind_index` by (kind, key number), in one snapshot."""
    rows = reader.all("SELECT kind, key_number, COUNT(*) AS n FROM blind_index GROUP BY kind, key_number")
    return {(row["kind"], row["key_number"]): row["n"] for row in rows}


def drop_blind(writer: Writer, kind: int, number: int, limit: int) -> int:
    """Delete some rows of a blind key that is no longer read; returns their number."""
    return writer.run(
        "DELETE FROM blind_index WHERE kind = :kind AND key_number = :number AND hash IN"
        " (SELECT hash FROM blind_index WHERE kind = :kind AND key_number = :number ORDER BY hash LIMIT :limit)",
        {"kind": kind, "number": number, "limit": limit},
    )
