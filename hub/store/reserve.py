"""The first commit of rule 2: the push, the case, the intent, and the rows that make numbers and codes unique."""

from dataclasses import dataclass
from typing import Any

from hub.domain.errors import Refusal
from hub.store import cases, certificates, keys, parties, pushes
from hub.store.database import Duplicate, Raced, Writer
from hub.vault import Vault


@dataclass(frozen=True, slots=True)
class Reservation:
    """Rows, sealed and ready. `number_rows` and `successions` come with the JSON pointer that a refusal names.

    `unchanged` are (home, certificate, revision) that must still be so: what was decided about them hangs on it.
    """

    case: dict[str, Any]
    push: dict[str, Any]
    people: tuple[parties.Resolved, ...]
    intent: dict[str, Any] | None
    handles: tuple[dict[str, Any], ...] = ()
    number_rows: tuple[tuple[str, tuple[dict[str, Any], ...]], ...] = ()
    successions: tuple[tuple[str, dict[str, Any]], ...] = ()
    unchanged: tuple[tuple[int, int, int], ...] = ()


def reserve(writer: Writer, vault: Vault, reservation: Reservation) -> None:
    """Write all of it. Raises Raced or StaleKeys (do the work again), Refusal `number.taken` or `certificate.move`."""
    keys.require_current(writer, vault)
    for home, certificate, revision in sorted(reservation.unchanged):
        if certificates.held_revision(writer, home, certificate) != revision:
            raise Raced
    try:
        pushes.add(writer, reservation.push)
        if not cases.put(writer, reservation.case):
            raise Raced
        _take(writer, reservation)
        parties.insert(writer, reservation.people)
        writer.insert_many("handles", reservation.handles)
        if reservation.intent is not None:
            writer.insert("intents", reservation.intent)
    except Duplicate:
        raise Raced from None


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
            raise Refusal("certificate.move", "该证照已有替代者", pointer=pointer)
