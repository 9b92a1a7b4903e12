"""Certificates as the source of directory entries, read by key range or by keys, with values as stored.

Of the sealed columns, only the holders leave this module.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hub.db.database import Reader, Row
from hub.domain.certificate import CertificateKey
from hub.store.sealing import unseal
from hub.vault import Vault, VaultError

_KEYS_AT_ONCE = 300
BEFORE_ALL = CertificateKey(-1, -1)
"""The cursor before the first certificate."""
_COLUMNS = (
    "SELECT c.home, c.certificate, c.type, c.authority, c.revision,"
    " v.version, v.identifier, v.standing, v.issued_on, v.valid_from, v.valid_until, v.superseded_on, v.sealed "
)
_JOIN = "JOIN versions v ON v.home = c.home AND v.certificate = c.certificate "
_ORDER = "ORDER BY c.home, c.certificate, v.version"


class SourceHolder(NamedTuple):
    """One holder of one version; the name of a natural person is shown only to callers who may see it."""

    name: str
    id_type: str
    party: int


class SourceVersion(NamedTuple):
    """One version with its holders. Days are yyyymmdd."""

    version: int
    identifier: str
    standing: int
    issued_on: int
    valid_from: int
    valid_until: int | None
    superseded_on: int | None
    holders: tuple[SourceHolder, ...]


class SourceCertificate(NamedTuple):
    """One certificate with all its versions, oldest first; the last one is current.

    If one of its rows cannot be decrypted, it has no versions: `hub check` reports that, and the feed of other
    certificates continues.
    """

    home: int
    certificate: int
    type_code: str
    authority: str
    revision: int
    versions: tuple[SourceVersion, ...]

    @property
    def key(self) -> CertificateKey:
        """The certificate's key."""
        return CertificateKey(self.home, self.certificate)


def between(reader: Reader, vault: Vault, after: CertificateKey, limit: int) -> list[SourceCertificate]:
    """The next `limit` certificates in key order, fewer at the end."""
    last = reader.one(
        "SELECT home, certificate FROM (SELECT home, certificate FROM certificates"
        " WHERE (home, certificate) > (:home, :certificate) ORDER BY home, certificate LIMIT :limit) AS few"
        " ORDER BY home DESC, certificate DESC LIMIT 1",
        {"home": after[0], "certificate": after[1], "limit": limit},
    )
    if last is None:
        return []
    rows = reader.all(
        _COLUMNS + "FROM certificates c " + _JOIN + "WHERE (c.home, c.certificate) > (:home, :certificate)"
        " AND (c.home, c.certificate) <= (:last_home, :last_certificate) " + _ORDER,
        {
            "home": after[0],
            "certificate": after[1],
            "last_home": last["home"],
            "last_certificate": last["certificate"],
        },
    )
    return _grouped(vault, rows)


def of_keys(reader: Reader, vault: Vault, keys: Iterable[CertificateKey]) -> list[SourceCertificate]:
    """Those of these certificates that exist, in key order."""
    wanted = sorted(set(keys))
    found: list[SourceCertificate] = []
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        rows = _rows_of(reader, wanted[start : start + _KEYS_AT_ONCE])
        found += _grouped(vault, rows)
    return found


def _rows_of(reader: Reader, keys: Sequence[CertificateKey]) -> Sequence[Row]:
    marks = ", ".join(f"(:h{n}, :c{n})" for n in range(len(keys)))
    values: dict[str, Any] = {}
    for n, (home, certificate) in enumerate(keys):
        values[f"h{n}"], values[f"c{n}"] = home, certificate
    return reader.all(
        f"WITH k (home, certificate) AS (VALUES {marks}) "
        + _COLUMNS
        + "FROM k CROSS JOIN certificates c "  # SQLite then begins with k
        + _JOIN
        + "WHERE c.home = k.home AND c.certificate = k.certificate "
        + _ORDER,
        values,
    )


def _grouped(vault: Vault, rows: Iterable[Row]) -> list[SourceCertificate]:
    """Group rows by certificate; they are in key order."""
    found: list[SourceCertificate] = []
    versions: list[SourceVersion] = []
    before: Row | None = None
    damaged = False
    for row in rows:
        if before is not None and (row[0], row[1]) != (before[0], before[1]):
            found.append(_certificate(before, () if damaged else versions))
            versions, damaged = [], False
        try:
            versions.append(_version(vault, row))
        except VaultError:
            damaged = True
        before = row
    if before is not None:
        found.append(_certificate(before, () if damaged else versions))
    return found


def _certificate(row: Row, versions: Sequence[SourceVersion]) -> SourceCertificate:
    home, certificate, type_code, authority, revision, *_ = row
    return SourceCertificate(home, certificate, type_code, authority, revision, tuple(versions))


def _version(vault: Vault, row: Row) -> SourceVersion:
    home, certificate, _, _, _, version, identifier, standing, issued_on, begins, ends, superseded_on, sealed = row
    inside: Mapping[str, Any] = unseal(vault, "versions", (home, certificate, version), sealed)
    holders = tuple([SourceHolder(name, id_type, party) for name, id_type, _, party, *_ in inside["holders"]])
    return SourceVersion(version, identifier, standing, issued_on, begins, ends, superseded_on, holders)
