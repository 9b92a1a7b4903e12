"""All pushes as received: the exact bytes, the sender, and the reply that every equal push gets."""

from typing import Any

import cbor2

from hub.db.database import Conflict, Duplicate, Reader, Writer
from hub.domain.case import CaseStatus
from hub.domain.case_record import PushKey, Received, SeenPush
from hub.domain.dates import to_micros
from hub.store.rows import PushRow
from hub.store.sealing import key_text, seal
from hub.vault import Vault

REPLIED = (
    "UPDATE pushes SET reply = :reply WHERE month = :month AND source = :source AND case_number = :case_number"
    " AND digest = :digest AND reply IS NULL"
)
"""Sets the reply unless it is already set."""


def digest_of(vault: Vault, source: str, case_number: str, canonical: bytes) -> bytes:
    """The keyed digest that identifies equal pushes (of RFC 8785 form, source and case number)."""
    return vault.digest(b"\x00".join((source.encode(), case_number.encode(), canonical)))


def find(reader: Reader, vault: Vault, source: str, case_number: str, digest: bytes) -> SeenPush | None:
    """The equal push that is on record, or None."""
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
    return SeenPush(
        source, case_number, row["month"], row["client"], row["amendment"], CaseStatus(row["status"]), reply
    )


def row_of(vault: Vault, received: Received, reply: dict[str, Any] | None) -> PushRow:
    """The row of a push, encrypted; `reply` is None until its certificates are issued."""
    key = received.key
    return PushRow(
        *key,
        client=received.client,
        amendment=received.push.amendment,
        status=int(received.push.status),
        at=to_micros(received.at),
        sealed=seal(vault, "pushes", key, received.raw),
        reply=None if reply is None else sealed_reply(vault, key, reply),
    )


def add(writer: Writer, row: PushRow) -> None:
    """Insert a push; raises Conflict if an equal one is on record."""
    try:
        writer.insert("pushes", row)
    except Duplicate:
        raise Conflict from None


def sealed_reply(vault: Vault, key: PushKey, reply: dict[str, Any]) -> bytes:
    """A reply, encrypted for the row of its push."""
    return vault.seal("pushes.reply", key_text(key), cbor2.dumps(reply))


def set_reply(writer: Writer, key: PushKey, sealed: bytes) -> None:
    """Record the reply that every equal push gets from now on."""
    writer.run(REPLIED, {**key._asdict(), "reply": sealed})
