"""Insert many new certificates with few statements, for collection and for filling a repository.

Everything is prepared, signed, verified and encrypted outside the transaction, as for a single certificate. A batch is
one transaction, all or nothing, and follows all rules of a push: numbers, identifiers and codes are unique, every
certificate has its act and its outbox row, and nothing signed with a retired key or hashed with an outdated one is
written. It saves statements: one per table, whatever the number of certificates.

An interrupted load starts over: `parties.holders_of_numbers` finds the numbers that are already on record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hub.db.database import Conflict, Duplicate, Writer
from hub.store import certificates, changes, keys, parties
from hub.store.changes import Change
from hub.store.parties import Resolved
from hub.store.publish import require_in_use
from hub.store.rows import BlindRow, CaseRow, HandleRow
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class Arrival:
    """One new certificate: the result of `changes.first_version`, and the rows that make its number unique."""

    change: Change
    number: tuple[BlindRow, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """New certificates with all their holders, and the rows of the new cases that they belong to.

    people: as returned by `parties.resolve`; a person may be listed more than once.
    """

    people: tuple[Resolved, ...]
    arrivals: tuple[Arrival, ...]
    cases: tuple[CaseRow, ...] = ()


def insert(writer: Writer, vault: Vault, batch: Batch) -> None:
    """Insert a batch that was prepared inside the same `retry_on_conflict`; roll back if it raises.

    Raises ValueError for a change of an existing certificate, StaleKeys and Conflict (resolve and prepare again, which
    finds numbers taken meanwhile), and KeyRetired (sign again).
    """
    if any(arrival.change.before is not None for arrival in batch.arrivals):
        raise ValueError("a batch has new certificates only")
    keys.require_current(writer, vault)
    versions = (arrival.change.version for arrival in batch.arrivals)
    require_in_use(writer, (row.kid for row in versions if row is not None))
    try:
        for table, rows in tables(batch):
            writer.insert_many(table, rows)
    except Duplicate:
        raise Conflict from None


def tables(batch: Batch) -> Iterator[tuple[str, Sequence[NamedTuple]]]:
    """The rows of a batch by table. Rows that two batches may share come first, in a fixed order."""
    people = parties.rows_of_new(batch.people)
    blind = [row for hashes, _ in people for row in hashes]
    blind += [row for arrival in batch.arrivals for row in arrival.number]
    yield "blind_index", sorted(blind)
    yield "parties", [row for _, row in people]
    yield "cases", sorted(batch.cases, key=lambda row: row[:2])
    yield "handles", sorted(handle for arrival in batch.arrivals for handle in handles_of(arrival.change))
    yield from changes.rows_of_new(arrival.change for arrival in batch.arrivals)


def handles_of(change: Change) -> Sequence[HandleRow]:
    """The handles of the version that a change adds, if any."""
    row = change.version
    return () if row is None else certificates.handles(row.identifier, row.code, row.home, row.certificate, row.version)
