"""Many new certificates in few statements: the path of collection, and of whoever fills a repository at once.

Everything is prepared, signed, checked and sealed outside, as for a single one; a batch is one transaction, which keeps
every rule that a push keeps: numbers, identifiers and codes are unique through their registries, every certificate has
its act and its outbox row, nothing signed with a retired key and nothing hashed with a former one gets in, and of a
batch all is there or nothing. What it spares are statements: one for each table, whatever the number of certificates.

Whoever is interrupted begins again: `parties.holders_of_numbers` tells which numbers have arrived.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.db.database import Conflict, Duplicate, Writer
from hub.store import certificates, changes, keys, parties
from hub.store.changes import Change
from hub.store.parties import Resolved
from hub.store.publish import require_in_use
from hub.vault import Vault

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One new certificate: what `changes.first_version` made of it, and the rows that make its number unique."""

    change: Change
    number: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """New certificates with everybody who holds them, and the rows of new cases that they belong to.

    people: as `parties.resolve` found them, each as often as it likes.
    """

    people: tuple[Resolved, ...]
    arrivals: tuple[Arrival, ...]
    cases: tuple[dict[str, Any], ...] = ()


def insert(writer: Writer, vault: Vault, batch: Batch) -> None:
    """Insert a whole batch, prepared inside the same `retry_on_conflict`; when it raises, roll back.

    Raises ValueError for a change of what exists already, StaleKeys and Conflict (resolve and prepare
    again, which finds a number that was taken meanwhile), and KeyRetired (sign again).
    """
    if any(arrival.change.before is not None for arrival in batch.arrivals):
        raise ValueError("a batch has new certificates only")
    keys.require_current(writer, vault)
    versions = (arrival.change.version for arrival in batch.arrivals)
    require_in_use(writer, (row["kid"] for row in versions if row is not None))
    try:
        for table, rows in tables(batch):
            writer.insert_many(table, rows)
    except Duplicate:
        raise Conflict from None


def tables(batch: Batch) -> Iterator[tuple[str, Rows]]:
    """The rows of a batch by table; what two batches may both want comes first, in an order that all of them share."""
    people = parties.rows_of_new(batch.people)
    blind: Rows = [row for hashes, _ in people for row in hashes]
    blind += [row for arrival in batch.arrivals for row in arrival.number]
    yield "blind_index", sorted(blind, key=lambda row: (row["kind"], row["key_number"], row["hash"]))
    yield "parties", [row for _, row in people]
    yield "cases", sorted(batch.cases, key=lambda row: (row["source"], row["case_number"]))
    handles = [handle for arrival in batch.arrivals for handle in handles_of(arrival.change)]
    yield "handles", sorted(handles, key=lambda row: (row["kind"], row["value"]))
    yield from changes.rows_of_new([arrival.change for arrival in batch.arrivals])


def handles_of(change: Change) -> Rows:
    """What leads to a change's version, where it brings one."""
    row = change.version
    if row is None:
        return []
    return certificates.handles(row["identifier"], row["code"], row["home"], row["certificate"], row["version"])
