"""People and organisations: found by the keyed hash of their identity number, identified by a random permanent key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.db.database import Reader, Row, Writer
from hub.domain import numbers
from hub.domain.case import Person
from hub.domain.certificate import CertificateKey
from hub.store.ids import new_party
from hub.store.rows import BlindRow, PartyRow
from hub.store.sealing import seal
from hub.vault import Vault, VaultError

PARTY = 1
NUMBER = 2
_AT_ONCE = 300
Wanted = tuple[int, str]
"""A kind and a text to hash."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A person with a party key; `row` and `blind` are the encrypted rows to insert if the party is new."""

    person: Person
    party: int
    row: PartyRow | None = None
    blind: tuple[BlindRow, ...] = ()


def text_of(person: Person) -> str:
    """The text to hash in order to find a person."""
    return numbers.party_text(person.id_type, person.id_number)


def find(reader: Reader, vault: Vault, person: Person) -> int | None:
    """The party key of a person, found by identity number only, because names have many spellings."""
    wanted = (PARTY, text_of(person))
    row = _rows_of(reader, vault, [wanted]).get(wanted)
    return None if row is None else int(row["target"])


def resolve(reader: Reader, vault: Vault, people: tuple[Person, ...]) -> tuple[Resolved, ...]:
    """Party keys for all people, with rows for new ones; people with one number share a party. Uses few statements."""
    return resolve_with_numbers(reader, vault, people, ())[0]


def resolve_with_numbers(
    reader: Reader, vault: Vault, people: tuple[Person, ...], texts: tuple[str, ...]
) -> tuple[tuple[Resolved, ...], dict[str, CertificateKey]]:
    """Combines `resolve` and `holders_of_numbers`."""
    known = _rows_of(reader, vault, [*((PARTY, text_of(person)) for person in people), *((NUMBER, t) for t in texts)])
    return _resolved(vault, people, known), _owners(known)


def _resolved(vault: Vault, people: tuple[Person, ...], known: Mapping[Wanted, Row]) -> tuple[Resolved, ...]:
    made: dict[str, Resolved] = {}
    found = []
    for person in people:
        text = text_of(person)
        if text not in made:
            row = known.get((PARTY, text))
            made[text] = _new(vault, person, text) if row is None else Resolved(person, int(row["target"]))
        first = made[text]
        found.append(Resolved(person, first.party, first.row, first.blind))
    return tuple(found)


def insert(writer: Writer, resolved: tuple[Resolved, ...]) -> None:
    """Insert the new parties; raises Duplicate if another call has inserted one of them (resolve again)."""
    for blind, row in rows_of_new(resolved):
        writer.insert_many("blind_index", blind)
        writer.insert("parties", row)


def rows_of_new(resolved: tuple[Resolved, ...]) -> list[tuple[tuple[BlindRow, ...], PartyRow]]:
    """(rows of blind_index, row of parties) of each new party, in the order in which they must be inserted."""
    fresh = {item.party: (item.blind, item.row) for item in resolved if item.row is not None}
    # Sorted by hash, so that two pushes with the same people do not deadlock.
    return sorted(fresh.values(), key=lambda new: [row.hash for row in new[0]])


def blind_rows(vault: Vault, kind: int, text: str, target: int, home: int) -> tuple[BlindRow, ...]:
    """The rows of `blind_index` for one text: two during a key rotation."""
    return tuple(
        BlindRow(kind, number, digest, target, home, numbers.VERSION)
        for number, digest in vault.blind_for_writing(text)
    )


def holder_of_number(reader: Reader, vault: Vault, text: str) -> CertificateKey | None:
    """The certificate with a printed number, or None."""
    return holders_of_numbers(reader, vault, [text]).get(text)


def holders_of_numbers(reader: Reader, vault: Vault, texts: Iterable[str]) -> dict[str, CertificateKey]:
    """Certificates by printed number, for the numbers that exist. Uses few statements."""
    return _owners(_rows_of(reader, vault, [(NUMBER, text) for text in texts]))


def _owners(known: Mapping[Wanted, Row]) -> dict[str, CertificateKey]:
    return {
        text: CertificateKey(int(row["home"]), int(row["target"]))
        for (kind, text), row in known.items()
        if kind == NUMBER
    }


def _rows_of(reader: Reader, vault: Vault, texts: Iterable[Wanted]) -> Mapping[Wanted, Row]:
    """The rows of some texts under the active blind key, which the same statement returns.

    A vault that has not noticed a rotation yet queries with the outdated key. It learns of the active one here and
    queries again, so nothing is missed between two reloads of the keys.
    """
    wanted = list(dict.fromkeys(texts))
    number, place = vault.reading_key, 0
    found: dict[Wanted, Row] = {}
    while place < len(wanted):
        hashes = {(kind, vault.blind(number, text)): (kind, text) for kind, text in wanted[place : place + _AT_ONCE]}
        marks = ", ".join(f"({kind}, :hash{n})" for n, (kind, _) in enumerate(hashes))
        rows = reader.all(
            f"WITH w (kind, hash) AS (VALUES {marks})"  # noqa: S608
            " SELECT k.number AS active, w.kind, w.hash, b.target, b.home FROM data_keys k CROSS JOIN w"
            " LEFT JOIN blind_index b ON b.kind = w.kind AND b.key_number = :number AND b.hash = w.hash"
            " WHERE k.purpose = 'blind' AND k.state = 2",
            {"number": number, **{f"hash{n}": digest for n, (_, digest) in enumerate(hashes)}},
        )
        if not rows:
            raise VaultError("there is no active blind key")
        if rows[0]["active"] != number:
            number, place, found = rows[0]["active"], 0, {}
            continue
        found |= {hashes[row["kind"], bytes(row["hash"])]: row for row in rows if row["target"] is not None}
        place += _AT_ONCE
    return found


def _new(vault: Vault, person: Person, text: str) -> Resolved:
    party = new_party()
    sealed = seal(vault, "parties", (party,), [person.name, person.id_type, person.id_number])
    row = PartyRow(party, person.id_type, sealed)
    return Resolved(person, party, row, blind_rows(vault, PARTY, text, party, party))
