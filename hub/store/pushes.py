"""Every push as it came: the exact bytes, who sent them, and the reply that an equal push gets for ever."""

from typing import Any

import cbor2

from hub.db.database import Conflict, Duplicate, Reader, Writer
from hub.domain.case import CaseStatus
from hub.domain.case_record import Received, SeenPush
from hub.domain.dates import to_micros
from hub.store.sealing import key_text, seal, unseal
from hub.vault import Vault

REPLIED = (
    "UPDATE pushes SET reply = :reply WHERE month = :month AND source = :source AND case_number = :case_number"
    " AND digest = :digest AND reply IS NULL"
)
"""The reply, once."""


def digest_of(vault: Vault, source: str, case_number: str, canonical: bytes) -> bytes:
    """The keyed digest by which an equal push is known (over RFC 8785 form, source and case number)."""
    return vault.digest(b"\x00".join((source.encode(), case_number.encode(), canonical)))


def find(reader: Reader, vault: Vault, source: str, case_number: str, digest: bytes) -> SeenPush | None:
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
        key = key_text((row["month"], source, case_number, digest))
        reply = cbor2.loads(vault.open("pushes.reply", key, row["reply"]))
    return SeenPush(row["month"], row["client"], row["amendment"], CaseStatus(row["status"]), reply)


def row_of(vault: Vault, received: Received, reply: dict[str, Any] | None) -> dict[str, Any]:
    """The row of a push; `reply` is None until its certificates are issued."""
    month, source, case_number, digest = received.key
    return {
        "month": month,
        "source": source,
        "case_number": case_number,
        "digest": digest,
        "client": received.client,
        "amendment": received.push.amendment,
        "status": int(received.push.status),
        "at": to_micros(received.at),
        "sealed": seal(vault, "pushes", received.key, received.raw),
        "reply": None if reply is None else sealed_reply(vault, received.key, reply),
    }


def add(writer: Writer, row: dict[str, Any]) -> None:
    """Insert a push; raises Conflict when an equal one was faster."""
    try:
        writer.insert("pushes", row)
    except Duplicate:
        raise Conflict from None


def sealed_reply(vault: Vault, key: tuple[object, ...], reply: dict[str, Any]) -> bytes:
    """A reply, sealed for the row of its push."""
    return vault.seal("pushes.reply", key_text(key), cbor2.dumps(reply))


def set_reply(writer: Writer, key: tuple[int, str, str, bytes], sealed: bytes) -> None:
    """Keep the reply that an equal push gets for ever."""
    month, source, case_number, digest = key
    writer.run(
        REPLIED,
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
        key = (row["month"], source, case_number, row["digest"])
        found.append((row["client"], row["at"], unseal(vault, "pushes", key, row["sealed"])))
    return found
