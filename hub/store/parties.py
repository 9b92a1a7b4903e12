"""People and bodies: found by the keyed hash of their identity number, known by a random permanent key."""

from dataclasses import dataclass

from hub.domain import numbers
from hub.domain.case import Person
from hub.store.database import Reader, Row, Writer
from hub.store.ids import new_party
from hub.store.sealing import seal
from hub.vault import Vault, VaultError

PARTY = 1
NUMBER = 2


@dataclass(frozen=True, slots=True)
class Resolved:
    """A person with a party key; `rows` are what must be inserted where the party is new, already sealed."""

    person: Person
    party: int
    row: dict[str, object] | None
    blind: tuple[dict[str, object], ...]


def text_of(person: Person) -> str:
    """The text that is hashed to find a person."""
    return numbers.party_text(person.id_type, person.id_number)


def find(reader: Reader, vault: Vault, person: Person) -> int | None:
    """The party key of a person, by identity number alone (names are spelt in many ways)."""
    row = _lookup(reader, vault, PARTY, text_of(person))
    return int(row["target"]) if row else None


def resolve(reader: Reader, vault: Vault, people: tuple[Person, ...]) -> tuple[Resolved, ...]:
    """Party keys for all people, new ones prepared; two with one number share a party."""
    made: dict[str, Resolved] = {}
    found = []
    for person in people:
        text = text_of(person)
        if text not in made:
            party = find(reader, vault, person)
            made[text] = _new(vault, person, text) if party is None else Resolved(person, party, None, ())
        known = made[text]
        found.append(Resolved(person, known.party, known.row, known.blind))
    return tuple(found)


def insert(writer: Writer, resolved: tuple[Resolved, ...]) -> None:
    """Insert the new parties; raises Duplicate when somebody was faster (resolve again)."""
    for blind, row in rows_of_new(resolved):
        writer.insert_many("blind_index", blind)
        writer.insert("parties", row)


def rows_of_new(resolved: tuple[Resolved, ...]) -> list[tuple[tuple[dict[str, object], ...], dict[str, object]]]:
    """(rows of blind_index, row of parties) of each new party once, in the order in which they must be inserted."""
    fresh = {item.party: (item.blind, item.row) for item in resolved if item.row is not None}
    # By their hashes: two pushes that bring the same people in another order would wait for each other.
    return sorted(fresh.values(), key=lambda new: [str(row["hash"]) for row in new[0]])


def blind_rows(vault: Vault, kind: int, text: str, target: int, home: int) -> tuple[dict[str, object], ...]:
    """The rows of `blind_index` for one text: two while a rotation is under way."""
    return tuple(
        {"kind": kind, "key_number": number, "hash": digest, "target": target, "home": home, "rules": numbers.VERSION}
        for number, digest in vault.blind_for_writing(text)
    )


def holder_of_number(reader: Reader, vault: Vault, text: str) -> tuple[int, int] | None:
    """(home, certificate) that has a printed number, or None."""
    row = _lookup(reader, vault, NUMBER, text)
    return (int(row["home"]), int(row["target"])) if row else None


def _lookup(reader: Reader, vault: Vault, kind: int, text: str) -> Row | None:
    """The row of a text under the key that is read now, which the same statement tells.

    A vault that has not heard of a rotation asks under the wrong key; it then learns the right one here and asks again,
    so that nothing is missed between two readings of the keys.
    """
    number = vault.reading_key
    while True:
        row = reader.one(
            "SELECT k.number AS active, b.target, b.home FROM data_keys k LEFT JOIN blind_index b"
            " ON b.kind = :kind AND b.key_number = :number AND b.hash = :hash"
            " WHERE k.purpose = 'blind' AND k.state = 2",
            {"kind": kind, "number": number, "hash": vault.blind(number, text)},
        )
        if row is None:
            raise VaultError("there is no active blind key")
        if row["active"] == number:
            return None if row["target"] is None else row
        number = row["active"]


def _new(vault: Vault, person: Person, text: str) -> Resolved:
    party = new_party()
    sealed = seal(vault, "parties", (party,), [person.name, person.id_type, person.id_number])
    row = {"party": party, "id_type": person.id_type, "sealed": sealed}
    return Resolved(person, party, row, blind_rows(vault, PARTY, text, party, party))
