"""Intents: decided, reserved, the exact bytes kept sealed, until they are signed and published or voided."""

from dataclasses import fields
from datetime import date, datetime
from typing import Any

from hub.db.database import Reader, Row, Writer
from hub.domain.case import Person
from hub.domain.certificate import ActKind
from hub.domain.dates import from_int, to_int, to_micros
from hub.domain.issuing import Ending, Intent, Planned
from hub.store.sealing import seal, unseal
from hub.vault import Vault

_PLANNED = tuple(f.name for f in fields(Planned))

GONE = "DELETE FROM intents WHERE source = :source AND case_number = :case_number AND intent = :intent AND voided = 0"
"""The end of an open intent; it finds nothing where somebody else has done or voided it."""


def open_intent(reader: Reader, vault: Vault, source: str, case_number: str) -> Intent | None:
    """The case's intent that is neither published nor voided, or None."""
    row = reader.one(
        "SELECT * FROM intents WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number},
    )
    return None if row is None else of_row(vault, row)


def is_open(reader: Reader, source: str, case_number: str) -> bool:
    """Whether a case has an open intent, without opening it."""
    row = reader.one(
        "SELECT 1 FROM intents WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number},
    )
    return row is not None


def due(reader: Reader, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Cases whose intent should be tried now, longest waiting first."""
    rows = reader.all(
        "SELECT source, case_number FROM intents WHERE voided = 0 AND next_attempt_at <= :now"
        " ORDER BY next_attempt_at LIMIT :limit",
        {"now": to_micros(now), "limit": limit},
    )
    return [(r["source"], r["case_number"]) for r in rows]


def waiting(reader: Reader) -> tuple[int, int | None]:
    """(how many intents are open, µs when the oldest was reserved)."""
    row = reader.one("SELECT COUNT(*) AS n, MIN(reserved_at) AS oldest FROM intents WHERE voided = 0")
    return (int(row["n"]), row["oldest"]) if row else (0, None)


def open_key_ids(reader: Reader) -> list[list[str]]:
    """The signing keys that each open intent was prepared for."""
    return [row["key_ids"].split() for row in reader.all("SELECT key_ids FROM intents WHERE voided = 0")]


def row_of(vault: Vault, intent: Intent, at: datetime, first_attempt_at: datetime) -> dict[str, Any]:
    """The sealed row of a new intent; the worker takes it up at `first_attempt_at` if nobody else has finished it."""
    inside = {
        "client": intent.client,
        "push_key": list(intent.push_key),
        "planned": [_pack(planned) for planned in intent.planned],
    }
    key = (intent.source, intent.case_number, intent.intent)
    return {
        "source": intent.source,
        "case_number": intent.case_number,
        "intent": intent.intent,
        "amendment": intent.amendment,
        "key_ids": " ".join(sorted({planned.kid for planned in intent.planned if planned.kind is not None})),
        "attempts": 0,
        "next_attempt_at": to_micros(first_attempt_at),
        "voided": 0,
        "reserved_at": to_micros(at),
        "sealed": seal(vault, "intents", key, inside),
    }


def postpone(writer: Writer, intent: Intent, until: datetime) -> None:
    """Record a failed attempt."""
    writer.run(
        "UPDATE intents SET attempts = attempts + 1, next_attempt_at = :until"
        " WHERE source = :source AND case_number = :case_number AND intent = :intent AND voided = 0",
        {**_key(intent), "until": to_micros(until)},
    )


def put_off(writer: Writer, source: str, case_number: str, until: datetime) -> None:
    """Record a failed attempt at an intent that could not even be opened, so that it does not stand before others."""
    writer.run(
        "UPDATE intents SET attempts = attempts + 1, next_attempt_at = :until"
        " WHERE source = :source AND case_number = :case_number AND voided = 0",
        {"source": source, "case_number": case_number, "until": to_micros(until)},
    )


def delete(writer: Writer, intent: Intent) -> bool:
    """Take the intent away; False when somebody else has done or voided it: then nothing else may be written."""
    return writer.run(GONE, _key(intent)) == 1


def void(writer: Writer, intent: Intent) -> bool:
    """Put it on record that these bytes are never published; the row stays. False when it is no longer open."""
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


def _pack(planned: Planned) -> list[Any]:
    return [_plain(getattr(planned, name)) for name in _PLANNED]


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return to_int(value)
    if isinstance(value, Person):
        return [value.name, value.id_type, value.id_number]
    if isinstance(value, Ending):
        return [getattr(value, f.name) if f.name != "on" else to_int(value.on) for f in fields(Ending)]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, ActKind) else value


def _unpack(values: list[Any]) -> Planned:
    found = dict(zip(_PLANNED, values, strict=True))
    found["kind"] = None if found["kind"] is None else ActKind(found["kind"])
    found["holders"] = tuple(Person(*item) for item in found["holders"])
    found["parties"] = tuple(found["parties"])
    found["disclosures"] = tuple(found["disclosures"])
    for name in ("issued_on", "valid_from", "valid_until"):
        found[name] = None if found[name] is None else from_int(found[name])
    endings = []
    for item in found["endings"]:
        ending = dict(zip((f.name for f in fields(Ending)), item, strict=True))
        endings.append(Ending(**{**ending, "on": from_int(ending["on"])}))
    found["endings"] = tuple(endings)
    return Planned(**found)


def of_row(vault: Vault, row: Row) -> Intent:
    """The intent in a whole row of `intents`, voided or not."""
    inside = unseal(vault, "intents", (row["source"], row["case_number"], row["intent"]), row["sealed"])
    month, source, case_number, digest = inside["push_key"]
    return Intent(
        intent=row["intent"],
        source=row["source"],
        case_number=row["case_number"],
        amendment=row["amendment"],
        client=inside["client"],
        push_key=(month, source, case_number, digest),
        planned=tuple(_unpack(item) for item in inside["planned"]),
        attempts=row["attempts"],
    )
