"""Cases as they stand, and every push about them as it came."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import cbor2

from hub.domain.case import CaseStatus, Person
from hub.domain.dates import from_micros, to_micros
from hub.store.audit import month_of
from hub.store.database import Reader, Writer
from hub.store.sealing import key_text, seal, unseal
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """A case as it stands. `people` carry roles; `parties` are their keys in the same order.

    `certificates` are (home, certificate, version) in pushed order, as the last completed amendment left them.
    """

    source: str
    case_number: str
    authority: str
    accepted_by: str
    status: CaseStatus
    amendment: int
    matter: str
    accepted_at: datetime
    completed_at: datetime | None
    revision: int
    people: tuple[Person, ...]
    parties: tuple[int, ...]
    certificates: tuple[tuple[int, int, int], ...] = ()

    def roles_of(self, party: int) -> frozenset[str]:
        """In which roles the case names a party; empty when it does not."""
        return frozenset(p.role for p, key in zip(self.people, self.parties, strict=True) if key == party)


@dataclass(frozen=True, slots=True)
class SeenPush:
    """A push that was recorded; `reply` is None while its certificates are not issued yet."""

    month: int
    client: str
    amendment: int
    status: CaseStatus
    reply: dict[str, Any] | None


def find(reader: Reader, vault: Vault, source: str, case_number: str) -> CaseRecord | None:
    """The case, or None."""
    row = reader.one(
        "SELECT * FROM cases WHERE source = :source AND case_number = :case_number",
        {"source": source, "case_number": case_number},
    )
    if row is None:
        return None
    inside = unseal(vault, "cases", (source, case_number), row["sealed"])
    return CaseRecord(
        source=source,
        case_number=case_number,
        authority=row["authority"],
        accepted_by=row["accepted_by"],
        status=CaseStatus(row["status"]),
        amendment=row["amendment"],
        matter=row["matter"],
        accepted_at=from_micros(row["accepted_at"]),
        completed_at=None if row["completed_at"] is None else from_micros(row["completed_at"]),
        revision=row["revision"],
        people=tuple(Person(*item[:5]) for item in inside["people"]),
        parties=tuple(item[5] for item in inside["people"]),
        certificates=tuple((h, c, v) for h, c, v in inside["certificates"]),
    )


def row_of(vault: Vault, case: CaseRecord, at: datetime) -> dict[str, Any]:
    """The sealed row of a case."""
    people = [
        [p.name, p.id_type, p.id_number, p.role, p.relation, party]
        for p, party in zip(case.people, case.parties, strict=True)
    ]
    inside = {"people": people, "certificates": [list(c) for c in case.certificates]}
    return {
        "source": case.source,
        "case_number": case.case_number,
        "authority": case.authority,
        "accepted_by": case.accepted_by,
        "status": int(case.status),
        "amendment": case.amendment,
        "matter": case.matter,
        "accepted_at": to_micros(case.accepted_at),
        "completed_at": None if case.completed_at is None else to_micros(case.completed_at),
        "revision": case.revision,
        "recorded_at": to_micros(at),
        "sealed": seal(vault, "cases", (case.source, case.case_number), inside),
    }


def put(writer: Writer, row: dict[str, Any]) -> bool:
    """Insert the first revision or replace the one before; False when somebody else changed the case meanwhile."""
    if row["revision"] == 1:
        return (
            writer.run(
                "INSERT INTO cases (source, case_number, authority, accepted_by, status, amendment, matter,"
                " accepted_at, completed_at, revision, recorded_at, sealed)"
                " VALUES (:source, :case_number, :authority, :accepted_by, :status, :amendment, :matter, :accepted_at, :completed_at, :revision, :recorded_at, :sealed)"
                " ON CONFLICT (source, case_number) DO NOTHING",
                row,
            )
            == 1
        )
    return (
        writer.run(
            "UPDATE cases SET accepted_by = :accepted_by, status = :status, amendment = :amendment,"
            " accepted_at = :accepted_at, completed_at = :completed_at, revision = :revision, sealed = :sealed"
            " WHERE source = :source AND case_number = :case_number AND revision = :revision - 1",
            row,
        )
        == 1
    )


def with_certificates(case: CaseRecord, certificates: tuple[tuple[int, int, int], ...]) -> CaseRecord:
    """The next revision of a case, with the certificates that it now has."""
    return replace(case, certificates=certificates, revision=case.revision + 1)


# --- pushes ----------------------------------------------------------------------------------------------------------


def push_digest(vault: Vault, source: str, case_number: str, canonical: bytes) -> bytes:
    """The keyed digest by which an equal push is known (over RFC 8785 form, source and case number)."""
    return vault.digest(b"\x00".join((source.encode(), case_number.encode(), canonical)))


def push_key(month: int, source: str, case_number: str, digest: bytes) -> tuple[object, ...]:
    """The primary key of a push."""
    return month, source, case_number, digest


def seen_push(reader: Reader, vault: Vault, source: str, case_number: str, digest: bytes) -> SeenPush | None:
    """The equal push that was recorded before, or None."""
    row = reader.one(
        "SELECT month, client, amendment, status, reply FROM pushes"
        " WHERE source = :source AND case_number = :case_number AND digest = :digest ORDER BY month",
        {"source": source, "case_number": case_number, "digest": digest},
    )
    if row is None:
        return None
    reply = None
    if row["reply"] is not None:
        key = key_text(push_key(row["month"], source, case_number, digest))
        reply = cbor2.loads(vault.open("pushes.reply", key, row["reply"]))
    return SeenPush(row["month"], row["client"], row["amendment"], CaseStatus(row["status"]), reply)


def push_row(
    vault: Vault,
    *,
    source: str,
    case_number: str,
    digest: bytes,
    client: str,
    amendment: int,
    status: CaseStatus,
    raw: bytes,
    reply: dict[str, Any] | None,
    at: datetime,
) -> dict[str, Any]:
    """The row of a push: the exact bytes that came and who sent them."""
    key = push_key(month_of(at), source, case_number, digest)
    return {
        "month": key[0],
        "source": source,
        "case_number": case_number,
        "digest": digest,
        "client": client,
        "amendment": amendment,
        "status": int(status),
        "at": to_micros(at),
        "sealed": seal(vault, "pushes", key, raw),
        "reply": None if reply is None else sealed_reply(vault, key, reply),
    }


def sealed_reply(vault: Vault, key: tuple[object, ...], reply: dict[str, Any]) -> bytes:
    """A reply, sealed for the row of its push."""
    return vault.seal("pushes.reply", key_text(key), cbor2.dumps(reply))


def set_reply(writer: Writer, key: tuple[object, ...], sealed: bytes) -> None:
    """Keep the reply that an equal push gets for ever."""
    month, source, case_number, digest = key
    writer.run(
        "UPDATE pushes SET reply = :reply WHERE month = :month AND source = :source AND case_number = :case_number"
        " AND digest = :digest AND reply IS NULL",
        {"month": month, "source": source, "case_number": case_number, "digest": digest, "reply": sealed},
    )


def pushed_bytes(reader: Reader, vault: Vault, source: str, case_number: str) -> list[tuple[str, int, bytes]]:
    """(client, µs, exact body) of every push of a case, oldest first."""
    rows = reader.all(
        "SELECT month, digest, client, at, sealed FROM pushes WHERE source = :source AND case_number = :case_number"
        " ORDER BY at",
        {"source": source, "case_number": case_number},
    )
    found = []
    for row in rows:
        key = push_key(row["month"], source, case_number, row["digest"])
        found.append((row["client"], row["at"], unseal(vault, "pushes", key, row["sealed"])))
    return found
