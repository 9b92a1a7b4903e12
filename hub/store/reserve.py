"""The first commit of rule 2: the push, the case, the intent, and the rows that make numbers and codes unique."""

from dataclasses import dataclass
from typing import Any

from hub.db import writable_cte
from hub.db.database import Conflict, Duplicate, Writer
from hub.db.writable_cte import Insert
from hub.domain.errors import Refusal
from hub.store import cases, certificates, keys, parties, postgres_guards, pushes
from hub.vault import StaleKeys, Vault


@dataclass(frozen=True, slots=True)
class Reservation:
    """Rows, sealed and ready. `number_rows` and `successions` come with the JSON pointer that a refusal names.

    `unchanged` are (home, certificate, revision) that must still be so: what was decided about them hangs on it.
    """

    case: dict[str, Any]
    push: dict[str, Any]
    people: tuple[parties.Resolved, ...]
    intent: dict[str, Any] | None
    audit: dict[str, Any]
    handles: tuple[dict[str, Any], ...] = ()
    number_rows: tuple[tuple[str, tuple[dict[str, Any], ...]], ...] = ()
    successions: tuple[tuple[str, dict[str, Any]], ...] = ()
    unchanged: tuple[tuple[int, int, int], ...] = ()


def reserve(writer: Writer, vault: Vault, reservation: Reservation) -> None:
    """Write all of it. Raises Conflict or StaleKeys (retry), Refusal `number.taken` or `certificate.move`."""
    rows = 10 + len(reservation.handles) + sum(2 + len(person.blind) for person in reservation.people)
    if not reservation.successions and not reservation.unchanged and writable_cte.suits(writer, rows):
        _reserve_new(writer, vault, reservation)
        return
    keys.require_current(writer, vault)
    for home, certificate, revision in sorted(reservation.unchanged):
        if certificates.revision_for_update(writer, home, certificate) != revision:
            raise Conflict
    try:
        pushes.add(writer, reservation.push)
        if not cases.put(writer, reservation.case):
            raise Conflict
        _take(writer, reservation)
        parties.insert(writer, reservation.people)
        writer.insert_many("handles", reservation.handles)
        if reservation.intent is not None:
            writer.insert("intents", reservation.intent)
        writer.insert("audit", reservation.audit)
    except Duplicate:
        raise Conflict from None


def _reserve_new(writer: Writer, vault: Vault, reservation: Reservation) -> None:
    """What hangs on no other certificate, as one statement; who was faster is asked for only when somebody was."""
    numbers = [row for _, rows in reservation.number_rows for row in rows]
    people = parties.rows_of_new(reservation.people)
    case = reservation.case
    try:
        missing = writable_cte.write(
            writer,
            (
                postgres_guards.KEYS_CURRENT,
                Insert("pushes", [reservation.push], guards=True),
                Insert("cases", [case], guards=True) if case["revision"] == 1 else postgres_guards.CASE_REPLACED,
                Insert("blind_index", numbers, "numbers", guards=True),
                Insert("blind_index", [row for blind, _ in people for row in blind], "people"),
                Insert("parties", [row for _, row in people]),
                Insert("handles", reservation.handles),
                Insert("intents", [] if reservation.intent is None else [reservation.intent]),
                Insert("audit", [reservation.audit]),
            ),
            {**case, "mark": keys.mark_text(vault)},
        )
    except Duplicate:
        raise Conflict from None
    if missing == postgres_guards.KEYS_CURRENT.name:
        raise StaleKeys
    if missing == "numbers":
        _require_free(writer, reservation)
    if missing is not None:
        raise Conflict


def _require_free(writer: Writer, reservation: Reservation) -> None:
    """Raise the refusal of the first number that is not ours although we have just tried to take it."""
    for pointer, rows in reservation.number_rows:
        for row in rows:
            owner = writer.one(
                "SELECT home, target FROM blind_index WHERE kind = :kind AND key_number = :key_number AND hash = :hash",
                row,
            )
            if owner is not None and (owner["home"], owner["target"]) != (row["home"], row["target"]):
                raise Refusal("number.taken", pointer=pointer)


def _take(writer: Writer, reservation: Reservation) -> None:
    """What two cases may both want. It comes before their handles: those of one next version are equal too."""
    for pointer, rows in reservation.number_rows:
        try:
            writer.insert_many("blind_index", rows)
        except Duplicate:
            raise Refusal("number.taken", pointer=pointer) from None
    for pointer, row in reservation.successions:
        _claim(writer, pointer, row)


def _claim(writer: Writer, pointer: str, row: dict[str, Any]) -> None:
    """A version has one successor for ever; the case that claimed it may say so again."""
    claimed = writer.run(
        "INSERT INTO successions (version_key, source, case_number) VALUES (:version_key, :source, :case_number)"
        " ON CONFLICT (version_key) DO NOTHING",
        row,
    )
    if not claimed:
        owner = writer.one("SELECT source, case_number FROM successions WHERE version_key = :version_key", row)
        if owner is None or (owner["source"], owner["case_number"]) != (row["source"], row["case_number"]):
            raise Refusal("certificate.move", "这张证照已被替代", pointer=pointer)
