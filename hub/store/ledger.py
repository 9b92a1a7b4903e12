"""The feed of all derived data: outbox, ledger, and the cursor of every consumer.

A change and its outbox row are written in the same commit. The sequencer moves rows into the ledger, one commit per
batch. Only one sequencer runs at a time, so positions have no gaps, and readers never miss a row that is committed
late. A consumer reads the ledger past its cursor and advances the cursor once its result can be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.db.database import Reader, Writer
from hub.domain.certificate import CertificateKey
from hub.store import postgres_guards

OF_DIRECTORY = "directory:"
"""The prefix of consumers that are generations of the directory: their cursors are deleted with it."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One change: a certificate and its revision."""

    position: int
    home: int
    certificate: int
    revision: int

    @property
    def key(self) -> CertificateKey:
        """The certificate that changed."""
        return CertificateKey(self.home, self.certificate)


@dataclass(frozen=True, slots=True)
class Lag:
    """The backlog of a consumer: how many changes, and when the oldest was recorded (µs UTC)."""

    changes: int
    oldest_at: int | None


def sequence(writer: Writer, limit: int) -> int:
    """Move up to `limit` outbox rows into the ledger, in order of their entries; returns the number of rows.

    Moves none while another process does: two batches would interleave, or rows would appear behind a reader.

    Processes take entries in blocks, so a later change of a certificate may have the lower entry. It waits until the
    earlier change has its position: within a certificate, positions are in the order of revisions.
    """
    if not writer.try_lock("sequencer"):
        return 0
    if writer.engine == "postgresql":
        return writer.run(postgres_guards.SEQUENCE, {"limit": limit})
    chosen = writer.all(
        "SELECT o.entry FROM outbox o WHERE NOT EXISTS (SELECT 1 FROM outbox b WHERE b.home = o.home"
        " AND b.certificate = o.certificate AND b.revision < o.revision) ORDER BY o.entry LIMIT :limit",
        {"limit": limit},
    )
    position = head(writer)
    for place, row in enumerate(chosen, position + 1):
        values = {"entry": row["entry"], "position": place}
        writer.run(
            "INSERT INTO ledger (position, home, certificate, revision, kind, leaf)"
            " SELECT :position, home, certificate, revision, kind, leaf FROM outbox WHERE entry = :entry",
            values,
        )
        writer.run("DELETE FROM outbox WHERE entry = :entry", values)
    return len(chosen)


def is_waiting(reader: Reader) -> bool:
    """Whether the outbox has rows; a cheap query for an idle sequencer."""
    return reader.one("SELECT 1 FROM outbox LIMIT 1") is not None


def head(reader: Reader) -> int:
    """The highest position, 0 before the first."""
    row = reader.one("SELECT MAX(position) AS head FROM ledger")
    return int(row["head"] or 0) if row else 0


def after(reader: Reader, position: int, limit: int) -> list[LedgerEntry]:
    """The next changes after a position, in order."""
    rows = reader.all(
        "SELECT position, home, certificate, revision FROM ledger WHERE position > :position"
        " ORDER BY position LIMIT :limit",
        {"position": position, "limit": limit},
    )
    return [LedgerEntry(row["position"], row["home"], row["certificate"], row["revision"]) for row in rows]


def cursor(reader: Reader, consumer: str) -> int:
    """A consumer's position, 0 if it has no cursor."""
    row = reader.one("SELECT position FROM cursors WHERE consumer = :consumer", {"consumer": consumer})
    return 0 if row is None else int(row["position"])


def advance(writer: Writer, consumer: str, position: int) -> None:
    """Advance a consumer's cursor; it never goes back."""
    writer.run(
        "INSERT INTO cursors (consumer, position) VALUES (:consumer, :position)"
        " ON CONFLICT (consumer) DO UPDATE SET position = excluded.position WHERE cursors.position < excluded.position",
        {"consumer": consumer, "position": position},
    )


def consumers(reader: Reader, prefix: str) -> list[str]:
    """The consumers with this prefix that have a cursor."""
    rows = reader.all(
        "SELECT consumer FROM cursors WHERE substr(consumer, 1, CAST(:length AS INTEGER)) = :prefix ORDER BY consumer",
        {"prefix": prefix, "length": len(prefix)},
    )
    return [row["consumer"] for row in rows]


def forget(writer: Writer, consumer: str) -> None:
    """Delete the cursor of a consumer that no longer exists."""
    writer.run("DELETE FROM cursors WHERE consumer = :consumer", {"consumer": consumer})


def pending(reader: Reader, position: int, limit: int) -> list[CertificateKey]:
    """Up to `limit` certificates whose current state a directory may lack; reads one snapshot.

    These are certificates with a change that has no position yet or one past `position`, and those with a rejected
    entry, which the position counts as written.
    """
    rows = reader.all(
        "SELECT home, certificate FROM outbox UNION SELECT home, certificate FROM ledger WHERE position > :position"
        " UNION SELECT home, certificate FROM index_dead LIMIT :limit",
        {"position": position, "limit": limit},
    )
    return [CertificateKey(row["home"], row["certificate"]) for row in rows]


def pending_of_party(reader: Reader, position: int, party: int, type_codes: Sequence[str]) -> list[CertificateKey]:
    """A party's certificates of some types that are pending in the sense of `pending`.

    One statement, so one snapshot: a row that moves from the outbox to the ledger is seen in one of them.
    """
    marks = ", ".join(f":type{place}" for place in range(len(type_codes)))
    rows = reader.all(
        f"SELECT h.home, h.certificate FROM holdings h WHERE h.party = :party AND h.type IN ({marks})"  # noqa: S608
        " AND (EXISTS (SELECT 1 FROM outbox o WHERE o.home = h.home AND o.certificate = h.certificate)"
        " OR EXISTS (SELECT 1 FROM ledger l WHERE l.home = h.home AND l.certificate = h.certificate"
        " AND l.position > :position)"
        " OR EXISTS (SELECT 1 FROM index_dead d WHERE d.home = h.home AND d.certificate = h.certificate"
        " AND d.party = h.party))",
        {"party": party, "position": position, **{f"type{n}": code for n, code in enumerate(type_codes)}},
    )
    return [CertificateKey(row["home"], row["certificate"]) for row in rows]


def pending_among(reader: Reader, position: int, keys: Sequence[CertificateKey]) -> set[CertificateKey]:
    """Those of these certificates that have a change past `position`."""
    found: set[CertificateKey] = set()
    for key in keys:
        row = reader.one(
            "SELECT 1 FROM outbox WHERE home = :home AND certificate = :certificate UNION ALL"
            " SELECT 1 FROM ledger WHERE home = :home AND certificate = :certificate AND position > :position LIMIT 1",
            {"home": key.home, "certificate": key.certificate, "position": position},
        )
        if row is not None:
            found.add(key)
    return found


def lag(reader: Reader, position: int, limit: int = 100_000) -> Lag:
    """The backlog past a position, counted up to `limit`. The oldest change is the older one of the first in the outbox
    and the first in the ledger."""
    values = {"position": position, "limit": limit}
    counted = reader.one(
        "SELECT COUNT(*) AS n FROM (SELECT 1 FROM outbox UNION ALL SELECT 1 FROM ledger WHERE position > :position"
        " LIMIT :limit) AS few",
        values,
    )
    oldest = reader.one(
        "SELECT MIN(a.recorded_at) AS at FROM acts a JOIN ("
        " SELECT * FROM (SELECT home, certificate, revision FROM outbox ORDER BY entry LIMIT 1) AS o UNION ALL"
        " SELECT * FROM (SELECT home, certificate, revision FROM ledger WHERE position > :position"
        " ORDER BY position LIMIT 1) AS l) f"
        " ON a.home = f.home AND a.certificate = f.certificate AND a.revision = f.revision",
        values,
    )
    return Lag(int(counted["n"]) if counted else 0, None if oldest is None else oldest["at"])
