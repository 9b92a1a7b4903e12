"""Many new certificates in few statements: the path of collection, and of whoever fills a repository at once.

Everything is prepared, signed, checked and sealed outside, as for a single one; a batch is one transaction, which keeps
every rule that a push keeps: numbers, identifiers and codes are unique through their registries, every certificate has
its act and its outbox row, nothing signed with a retired key and nothing hashed with a former one gets in, and of a
batch all is there or nothing. What it spares are statements: one for each table, whatever the number of certificates.

Whoever is interrupted begins again: `parties.holders_of_numbers` tells which numbers have arrived.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hub.store import certificates, keys
from hub.store.changes import Change
from hub.store.database import Duplicate, Raced, Writer
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
    """Insert a whole batch, made inside the same `attempt`; the caller's transaction is of no more use when it raises.

    Raises ValueError for a change of what exists already, StaleKeys and Raced (resolve and prepare anew: a number that
    has been taken meanwhile is found then), and KeyRetired (sign anew).
    """
    if any(arrival.change.before is not None for arrival in batch.arrivals):
        raise ValueError("a batch has new certificates only")
    keys.require_current(writer, vault)
    require_in_use(writer, (row["kid"] for row in _each(batch, lambda change: (change.version,))))
    try:
        for table, rows in tables(batch):
            writer.insert_many(table, rows)
    except Duplicate:
        raise Raced from None


def tables(batch: Batch) -> Iterator[tuple[str, Rows]]:
    """The rows of a batch by table; what two batches may both want comes first, in an order that all of them share."""
    fresh = {one.party: one for one in batch.people if one.row is not None}
    blind: Rows = [row for one in fresh.values() for row in one.blind]
    blind += [row for arrival in batch.arrivals for row in arrival.number]
    yield "blind_index", sorted(blind, key=lambda row: (row["kind"], row["key_number"], row["hash"]))
    yield "parties", [dict(one.row) for one in fresh.values() if one.row is not None]
    yield "cases", sorted(batch.cases, key=lambda row: (row["source"], row["case_number"]))
    yield "handles", sorted(_each(batch, handles_of), key=lambda row: (row["kind"], row["value"]))
    yield "certificates", _each(batch, lambda change: (change.certificate,))
    yield "versions", _each(batch, lambda change: (change.version,))
    yield "holdings", _each(batch, lambda change: [{**row, "ended": 0} for row in change.holdings])
    yield "acts", _each(batch, lambda change: (change.act,))
    yield "outbox", _each(batch, lambda change: (change.outbox,))


def _each(batch: Batch, of: Callable[[Change], Sequence[dict[str, Any] | None]]) -> Rows:
    return [row for arrival in batch.arrivals for row in of(arrival.change) if row is not None]


def handles_of(change: Change) -> Rows:
    """What leads to a change's version, where it brings one: its identifier and its public code."""
    row = change.version
    if row is None:
        return []
    place = {"home": row["home"], "certificate": row["certificate"], "version": row["version"]}
    return [
        {"kind": certificates.IDENTIFIER, "value": row["identifier"], **place},
        {"kind": certificates.CODE, "value": row["code"], **place},
    ]
