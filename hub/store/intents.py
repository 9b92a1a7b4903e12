"""Intents: decided and reserved, with the exact bytes encrypted, until they are signed and published or voided.

Their encrypted content has a format of its own: `hub.store.intent_format`.
"""

from datetime import datetime, timedelta
from typing import Any

from hub.db.database import Reader, Row, Writer
from hub.domain.dates import to_micros
from hub.domain.issuing import Intent
from hub.store import intent_format
from hub.store.rows import IntentRow
from hub.store.sealing import seal, unseal
from hub.vault import Vault

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(seconds=60)

GONE = "DELETE FROM intents WHERE source = :source AND case_number = :case_number AND intent = :intent AND voided = 0"
"""Deletes an open intent; matches no row if another call has finished or voided it."""


def open_intent(reader: Reader, vault: Vault, source: str, case_number: str) -> Intent | None:
    """The case's intent that is neither published nor voided, or None."""
    row = reader.one(
        "SELECT * FROM intents WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number},
    )
    return None if row is None else of_row(vault, row)


def is_open(reader: Reader, source: str, case_number: str) -> bool:
    """Whether a case has an open intent; decrypts nothing."""
    row = reader.one(
        "SELECT 1 FROM intents WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number},
    )
    return row is not None


def due(reader: Reader, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Cases whose intent is due for a retry, longest waiting first."""
    rows = reader.all(
        "SELECT source, case_number FROM intents WHERE voided = 0 AND next_attempt_at <= :now"
        " ORDER BY next_attempt_at LIMIT :limit",
        {"now": to_micros(now), "limit": limit},
    )
    return [(r["source"], r["case_number"]) for r in rows]


def waiting(reader: Reader) -> tuple[int, int | None]:
    """(number of open intents, reservation time of the oldest in µs)."""
    row = reader.one("SELECT COUNT(*) AS n, MIN(reserved_at) AS oldest FROM intents WHERE voided = 0")
    return (int(row["n"]), row["oldest"]) if row else (0, None)


def open_key_ids(reader: Reader) -> list[list[str]]:
    """The signing keys that each open intent was prepared for."""
    return [row["key_ids"].split() for row in reader.all("SELECT key_ids FROM intents WHERE voided = 0")]


def row_of(vault: Vault, intent: Intent, at: datetime) -> IntentRow:
    """The row of a new intent, encrypted; the worker retries it after FIRST_RETRY unless the request has finished
    it."""
    return IntentRow(
        source=intent.source,
        case_number=intent.case_number,
        intent=intent.intent,
        amendment=intent.amendment,
        key_ids=" ".join(intent.kids),
        attempts=0,
        next_attempt_at=to_micros(at + FIRST_RETRY),
        voided=0,
        reserved_at=to_micros(at),
        sealed=seal(vault, "intents", (intent.source, intent.case_number, intent.intent), intent_format.pack(intent)),
    )


def postpone(writer: Writer, intent: Intent, now: datetime) -> None:
    """Record a failed attempt: back off exponentially, up to LONGEST_RETRY."""
    wait = min(FIRST_RETRY * 2 ** min(intent.attempts, 10), LONGEST_RETRY)
    writer.run(
        "UPDATE intents SET attempts = attempts + 1, next_attempt_at = :until"
        " WHERE source = :source AND case_number = :case_number AND intent = :intent AND voided = 0",
        {**_key(intent), "until": to_micros(now + wait)},
    )


def put_off(writer: Writer, source: str, case_number: str, now: datetime) -> None:
    """Record a failed attempt at an intent that cannot even be decrypted, so that it does not block the others."""
    writer.run(
        "UPDATE intents SET attempts = attempts + 1, next_attempt_at = :until"
        " WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number, "until": to_micros(now + LONGEST_RETRY)},
    )


def delete(writer: Writer, intent: Intent) -> bool:
    """Delete the intent; False if another call has finished or voided it: then write nothing else."""
    return writer.run(GONE, _key(intent)) == 1


def void(writer: Writer, intent: Intent) -> bool:
    """Mark the intent as never published; its row stays. False if it is no longer open."""
    return (
        writer.run(
            "UPDATE intents SET voided = 1 WHERE source = :source AND case_number = :case_number"
            " AND intent = :intent AND voided = 0",
            _key(intent),
        )
        == 1
    )


def _key(intent: Intent) -> dict[str, Any]:
    return {"source": intent.source, "case_number": intent.case_number, "intent": intent.intent}


def of_row(vault: Vault, row: Row) -> Intent:
    """Read an intent from a complete row of `intents`, voided or not; raises VaultError."""
    inside = unseal(vault, "intents", (row["source"], row["case_number"], row["intent"]), row["sealed"])
    return intent_format.unpack(
        inside,
        intent=row["intent"],
        source=row["source"],
        case_number=row["case_number"],
        amendment=row["amendment"],
        attempts=row["attempts"],
    )
