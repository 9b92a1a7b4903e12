"""Raw rows for `hub check`: combinations that no step needs, read in key order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.db.database import Reader, Row


@dataclass(frozen=True, slots=True)
class CertificateRows:
    """The rows of one certificate except its versions."""

    certificate: Row
    holdings: list[Row]
    handles: list[Row]
    leaves: Sequence[Row]


def certificate_rows(reader: Reader, home: int, certificate: int, people: Iterable[int]) -> CertificateRows | None:
    """The rows of one certificate, or None if it is gone; `people` are the parties that ever held it."""
    key = {"home": home, "certificate": certificate}
    row = reader.one("SELECT * FROM certificates WHERE home = :home AND certificate = :certificate", key)
    if row is None:
        return None
    versions = reader.all(
        "SELECT identifier, code FROM versions WHERE home = :home AND certificate = :certificate", key
    )
    handles = []
    for version in versions:
        for kind, value in ((1, version["identifier"]), (2, version["code"])):
            found = reader.one(
                "SELECT * FROM handles WHERE kind = :kind AND value = :value", {"kind": kind, "value": value}
            )
            handles += [] if found is None else [found]
    return CertificateRows(
        certificate=row,
        holdings=_holdings(reader, key, people),
        handles=handles,
        leaves=reader.all(
            "SELECT revision, kind, leaf FROM outbox WHERE home = :home AND certificate = :certificate"
            " UNION ALL SELECT revision, kind, leaf FROM ledger WHERE home = :home AND certificate = :certificate"
            " ORDER BY revision",
            key,
        ),
    )


def _holdings(reader: Reader, key: dict[str, int], people: Iterable[int]) -> list[Row]:
    sql = "SELECT * FROM holdings WHERE party = :party AND home = :home AND certificate = :certificate"
    found = (reader.one(sql, {**key, "party": party}) for party in sorted(set(people)))
    return [row for row in found if row is not None]


def handles_without_version(reader: Reader) -> list[tuple[int, str]]:
    """(kind, value) of every reserved handle without a version; those of open intents are expected."""
    rows = reader.all(
        "SELECT h.kind, h.value FROM handles h LEFT JOIN versions v"
        " ON v.home = h.home AND v.certificate = h.certificate AND v.version = h.version"
        " WHERE h.kind IN (1, 2) AND v.home IS NULL"
    )
    return [(row["kind"], row["value"]) for row in rows]


def open_intents(reader: Reader) -> list[tuple[str, str, int]]:
    """(source, case number, reservation time in µs) of every open intent, oldest first."""
    rows = reader.all("SELECT source, case_number, reserved_at FROM intents WHERE voided = 0 ORDER BY reserved_at")
    return [(row["source"], row["case_number"], row["reserved_at"]) for row in rows]


def unanswered_pushes(reader: Reader) -> list[tuple[str, str]]:
    """(source, case number) of every push without a reply and without an intent that would lead to one."""
    rows = reader.all(
        "SELECT p.source, p.case_number FROM pushes p WHERE p.reply IS NULL AND NOT EXISTS (SELECT 1 FROM intents i"
        " WHERE i.source = p.source AND i.case_number = p.case_number AND i.voided = 0)"
    )
    return [(row["source"], row["case_number"]) for row in rows]


def parties_without_hash(reader: Reader) -> int:
    """The number of parties that cannot be found by identity number under the active blind key."""
    row = reader.one(
        "SELECT COUNT(*) AS n FROM parties WHERE party NOT IN"
        " (SELECT b.target FROM blind_index b JOIN data_keys k ON k.number = b.key_number"
        " WHERE b.kind = 1 AND k.purpose = 'blind' AND k.state = 2)"
    )
    return int(row["n"]) if row else 0


def count_certificates(reader: Reader) -> int:
    """The number of certificates."""
    row = reader.one("SELECT COUNT(*) AS n FROM certificates")
    return int(row["n"]) if row else 0
