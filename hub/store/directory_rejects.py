"""Entries that the directory's engine will not take as they are: kept apart until they are tried again.

They name a certificate and a party by their keys, and the engine's own code for the reason; nothing of what is in them.
"""

from collections.abc import Sequence

from hub.db.database import Reader, Writer
from hub.domain.certificate import CertificateKey


def put(writer: Writer, party: int, key: CertificateKey, revision: int, reason: str, at: int) -> None:
    """Note that an entry was refused; `at`, µs UTC, stays that of the first time."""
    writer.run(
        "INSERT INTO index_dead (home, certificate, party, revision, reason, at)"
        " VALUES (:home, :certificate, :party, :revision, :reason, :at) ON CONFLICT (party, home, certificate)"
        " DO UPDATE SET revision = excluded.revision, reason = excluded.reason",
        {"home": key[0], "certificate": key[1], "party": party, "revision": revision, "reason": reason, "at": at},
    )


def count(reader: Reader) -> int:
    """How many there are."""
    row = reader.one("SELECT COUNT(*) AS n FROM index_dead")
    return int(row["n"]) if row else 0


def is_any(reader: Reader) -> bool:
    """Whether there are any: what is asked after every write."""
    return reader.one("SELECT 1 FROM index_dead LIMIT 1") is not None


def certificates(reader: Reader, after: CertificateKey, limit: int) -> list[CertificateKey]:
    """The next certificates with such an entry, in the order of their keys."""
    rows = reader.all(
        "SELECT DISTINCT home, certificate FROM index_dead WHERE (home, certificate) > (:home, :certificate)"
        " ORDER BY home, certificate LIMIT :limit",
        {"home": after[0], "certificate": after[1], "limit": limit},
    )
    return [CertificateKey(row["home"], row["certificate"]) for row in rows]


def settle(writer: Writer, key: CertificateKey, refused: Sequence[int]) -> None:
    """Of a certificate that has just been written whole, only these parties' entries are still refused."""
    values = {"home": key[0], "certificate": key[1], **{f"party{n}": party for n, party in enumerate(refused)}}
    but = f" AND party NOT IN ({', '.join(f':party{n}' for n in range(len(refused)))})" if refused else ""
    writer.run(f"DELETE FROM index_dead WHERE home = :home AND certificate = :certificate{but}", values)  # noqa: S608
