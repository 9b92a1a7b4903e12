"""What the public sees of a holder and a number: enough to compare with the paper, not enough to learn it."""

from collections.abc import Iterable

from hub.domain import numbers
from hub.domain.case import Person


def person_name(name: str) -> str:
    """First character and, from three characters on, the last: 张*, 张*三, 欧**娜."""
    if len(name) <= 1:
        return "*"
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" * min(len(name) - 2, 6) + name[-1]


def holder_name(name: str, id_type: str) -> str:
    """Names of organisations are in public registers and stay whole; those of people are masked."""
    return name if id_type in numbers.ORGANISATION_TYPES else person_name(name)


def id_number(number: str) -> str:
    """First and last character only: one more would leave only a few thousand candidates for a citizen's number."""
    if len(number) <= 2:
        return "*" * len(number)
    return number[0] + "*" * (len(number) - 2) + number[-1]


def certificate_number(number: str, *, personal: bool, public_holder: bool) -> str:
    """Personal: masked like an identity number; an organisation's: in full; else first four and last two characters."""
    if personal or numbers.contains_citizen_number(number):
        return id_number(number)
    if public_holder:
        return number
    if len(number) <= 8:
        return number[:2] + "*" * max(len(number) - 3, 1) + number[-1:]
    return number[:4] + "*" * (len(number) - 6) + number[-2:]


def face_number(number: str, holders: Iterable[Person], *, personal: bool) -> str:
    """The printed number as the public sees it: in the QR code, on the public page, in a lookup.

    personal: by its type, the number is the holder's own.
    """
    people = list(holders)
    own = personal or any(numbers.clean(number) == person.id_number for person in people if not _is_body(person))
    return certificate_number(number, personal=own, public_holder=all(_is_body(person) for person in people))


def _is_body(person: Person) -> bool:
    return person.id_type in numbers.ORGANISATION_TYPES
