"""Read certificates and their versions; `changes` writes them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from hub.db.database import Reader, Row, Writer
from hub.domain.case import Person
from hub.domain.certificate import CertificateKey, Dates, Standing
from hub.domain.dates import from_int, to_int
from hub.domain.version import Version
from hub.store.rows import HandleRow
from hub.store.sealing import unseal
from hub.vault import Vault

IDENTIFIER = 1
CODE = 2
COPY = 3


def handles(identifier: str, code: str, home: int, certificate: int, version: int) -> tuple[HandleRow, HandleRow]:
    """The handles of a version: its identifier and its public code."""
    return (
        HandleRow(IDENTIFIER, identifier, home, certificate, version),
        HandleRow(CODE, code, home, certificate, version),
    )


_JOINED = (
    "SELECT v.*, c.type, c.authority, c.serial, c.origin, c.standing AS certificate_standing,"
    " c.revision AS certificate_revision, c.version AS current_version, c.organisation"
    " FROM versions v JOIN certificates c ON c.home = v.home AND c.certificate = v.certificate "
)
_HELD = _JOINED.replace(" FROM ", ", h.issued_on AS held_issued_on FROM ", 1)
_OF_HOLDING = "JOIN holdings h ON h.home = v.home AND h.certificate = v.certificate "
_KEYS_AT_ONCE = 300


def by_identifier(reader: Reader, vault: Vault, identifier: str) -> Version | None:
    """The version with this identifier, or None; reserved identifiers do not exist until they are published."""
    return _by_handle(reader, vault, IDENTIFIER, identifier)


def by_code(reader: Reader, vault: Vault, code: str) -> Version | None:
    """The version with this public code, or None."""
    return _by_handle(reader, vault, CODE, code)


def by_key(reader: Reader, vault: Vault, home: int, certificate: int, version: int) -> Version | None:
    """One version."""
    row = reader.one(
        _JOINED + "WHERE v.home = :home AND v.certificate = :certificate AND v.version = :version",
        {"home": home, "certificate": certificate, "version": version},
    )
    return None if row is None else _record(vault, row)


def versions_of(reader: Reader, vault: Vault, home: int, certificate: int) -> list[Version]:
    """All versions of a certificate, oldest first."""
    rows = reader.all(
        _JOINED + "WHERE v.home = :home AND v.certificate = :certificate ORDER BY v.version",
        {"home": home, "certificate": certificate},
    )
    return [_record(vault, row) for row in rows]


def of_party(
    reader: Reader,
    vault: Vault,
    party: int,
    type_codes: tuple[str, ...],
    today: date,
    keys: Iterable[CertificateKey | tuple[int, int]] | None = None,
) -> list[Version]:
    """What a party holds of some types: of each certificate, the versions that are not superseded by today.

    If all are superseded, the newest one represents the certificate. Versions that name other holders only are not the
    party's, even if other versions of the certificate are; a version that drops the party may begin later than today.
    keys: restrict the search to these certificates.
    """
    marks = ", ".join(f":type{place}" for place in range(len(type_codes)))
    values = {"party": party, "today": to_int(today), **{f"type{n}": code for n, code in enumerate(type_codes)}}
    where = (
        f"WHERE h.party = :party AND h.type IN ({marks}) AND (v.version = c.version OR v.superseded_on > :today)"
        " ORDER BY h.issued_on DESC, h.certificate DESC, v.version DESC"
    )
    if keys is None:
        rows = reader.all(_HELD + _OF_HOLDING + where, values)
    else:
        rows = _rows_of_keys(reader, sorted(keys), where, values)
    return [record for record in (_record(vault, row) for row in rows) if party in record.parties]


def _rows_of_keys(reader: Reader, keys: Sequence[tuple[int, int]], where: str, values: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        marks = ", ".join(f"(:h{n}, :c{n})" for n in range(len(some)))
        named = {f"h{n}": home for n, (home, _) in enumerate(some)} | {f"c{n}": key for n, (_, key) in enumerate(some)}
        wanted = f"WITH k (home, certificate) AS (VALUES {marks}) "
        join = "JOIN k ON k.home = h.home AND k.certificate = h.certificate "
        rows += reader.all(wanted + _HELD + _OF_HOLDING + join + where, {**values, **named})
    if len(keys) > _KEYS_AT_ONCE:
        rows.sort(key=lambda row: (row["held_issued_on"], row["certificate"], row["version"]), reverse=True)
    return rows


def revision_for_update(writer: Writer, home: int, certificate: int) -> int:
    """The revision of a certificate, selected for update; 0 if there is none."""
    row = writer.select_for_update(
        "SELECT revision FROM certificates WHERE home = :home AND certificate = :certificate",
        {"home": home, "certificate": certificate},
        shared=True,
    )
    return 0 if row is None else int(row["revision"])


def succession(reader: Reader, version_key: int) -> tuple[str, str] | None:
    """The (source, case number) that has claimed to supersede a version, or None."""
    row = reader.one("SELECT source, case_number FROM successions WHERE version_key = :key", {"key": version_key})
    return None if row is None else (row["source"], row["case_number"])


def not_good(reader: Reader, first_key: int, last_key: int) -> list[tuple[int, int, int | None]]:
    """(version key, standing, superseded_on as yyyymmdd) of every version in a range that is not active.

    The input of a status list, in key order. Values are as stored, because there may be 131,072 of them.
    """
    rows = reader.all(
        "SELECT version_key, standing, superseded_on FROM versions"
        " WHERE (standing <> 1 OR superseded_on IS NOT NULL) AND version_key BETWEEN :first AND :last"
        " ORDER BY version_key",
        {"first": first_key, "last": last_key},
    )
    return [(key, standing, ended) for key, standing, ended in rows]


def has_version_between(reader: Reader, first_key: int, last_key: int) -> bool:
    """Whether any version has a key in a range, so whether a status list exists."""
    values = {"first": first_key, "last": last_key}
    return reader.one("SELECT 1 FROM versions WHERE version_key BETWEEN :first AND :last LIMIT 1", values) is not None


def walk(reader: Reader, after: tuple[int, int], limit: int) -> list[CertificateKey]:
    """The next certificates in key order; lets `hub check` visit all of them in constant memory."""
    rows = reader.all(
        "SELECT home, certificate FROM certificates WHERE (home, certificate) > (:home, :certificate)"
        " ORDER BY home, certificate LIMIT :limit",
        {"home": after[0], "certificate": after[1], "limit": limit},
    )
    return [CertificateKey(r["home"], r["certificate"]) for r in rows]


def _by_handle(reader: Reader, vault: Vault, kind: int, value: str) -> Version | None:
    row = reader.one(
        _JOINED + "JOIN handles h ON h.home = v.home AND h.certificate = v.certificate AND h.version = v.version"
        " WHERE h.kind = :kind AND h.value = :value",
        {"kind": kind, "value": value},
    )
    if row is None or (kind == IDENTIFIER and row["identifier"] != value) or (kind == CODE and row["code"] != value):
        return None
    return _record(vault, row)


def _day(value: int | None) -> date | None:
    return None if value is None else from_int(value)


def _record(vault: Vault, row: Row) -> Version:
    inside = unseal(vault, "versions", (row["home"], row["certificate"], row["version"]), row["sealed"])
    holders = inside["holders"]
    return Version(
        home=row["home"],
        certificate=row["certificate"],
        version=row["version"],
        current_version=row["current_version"],
        version_key=row["version_key"],
        identifier=row["identifier"],
        code=row["code"],
        type_code=row["type"],
        authority=row["authority"],
        serial=row["serial"],
        origin=row["origin"],
        edition=row["edition"],
        standing=Standing(row["standing"]),
        revision=row["certificate_revision"],
        dates=Dates(
            from_int(row["issued_on"]),
            from_int(row["valid_from"]),
            _day(row["valid_until"]),
            _day(row["superseded_on"]),
        ),
        source=row["source"],
        case_number=row["case_number"],
        recorded_at=row["recorded_at"],
        kid=row["kid"],
        credential=inside["credential"],
        digits=inside["digits"],
        number=inside["number"],
        holders=tuple(Person(*item[:3]) for item in holders),
        parties=tuple(item[3] for item in holders),
        fields=inside["fields"],
        salt=inside["salt"],
    )
