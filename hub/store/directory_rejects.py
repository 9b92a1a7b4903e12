"""Entries that the directory's engine rejected, recorded until a retry succeeds.

A row has the keys of certificate and party and the engine's error code; it has nothing of the entry's content.
"""

from collections.abc import Sequence

from hub.db.database import Reader, Writer
from hub.domain.certificate import CertificateKey


def put(writer: Writer, party: int, key: CertificateKey, revision: int, reason: str, at: int) -> None:
    """Record a rejected entry; `at`, µs UTC, keeps the time of the first rejection."""
    writer.run(
        "INSERT INTO index_dead (home, certificate, party, revision, reason, at)"
        " VALUES (:home, :certificate, :party, :revision, :reason, :at) ON CONFLICT (party, home, certificate)"
        " DO UPDATE SET revision = excluded.revision, reason = excluded.reason",
        {"home": key[0], "certificate": key[1], "party": party, "revision": revision, "reason": reason, "at": at},
    )


def count(reader: Reader) -> int:
    """The number of rejected entries."""
    row = reader.one("SELECT COUNT(*) AS n FROM index_dead")
    return int(row["n"]) if row else 0


def is_any(reader: Reader) -> bool:
    """Whether there are any; a cheap query, for it runs after every write."""
    return reader.one("SELECT 1 FROM index_dead LIMIT 1") is not None


def certificates(reader: Reader, after: CertificateKey, limit: int) -> list[CertificateKey]:
    """The next certificates with a rejected entry, in key order."""
    rows = reader.all(
        "SELECT DISTINCT home, certificate FROM index_dead WHERE (home, certificate) > (:home, :certificate)"
        " ORDER BY home, certificate LIMIT :limit",
        {"home": after[0], "certificate": after[1], "limit": limit},
    )
    return [CertificateKey(row["home"], row["certificate"]) for row in rows]


def keep_only(writer: Writer, key: CertificateKey, rejected: Sequence[int]) -> None:
    """After all entries of a certificate were written: keep the records of these parties, delete the others."""
    values = {"home": key[0], "certificate": key[1], **{f"party{n}": party for n, party in enumerate(rejected)}}
    but = f" AND party NOT IN ({', '.join(f':party{n}' for n in range(len(rejected)))})" if rejected else ""
    writer.run(f"DELETE FROM index_dead WHERE home = :home AND certificate = :certificate{but}", values)  # noqa: S608
