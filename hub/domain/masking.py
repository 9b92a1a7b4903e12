"""What the public sees of a holder and a number: enough to compare with the paper, not enough to learn it."""

from hub.domain import numbers


def person_name(name: str) -> str:
    """First character and, from three characters on, the last: 张*, 张*三, 欧**娜."""
    if len(name) <= 1:
        return "*"
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" * min(len(name) - 2, 6) + name[-1]


def holder_name(name: str, id_type: str) -> str:
    """Organisations are public register data and stay whole; persons are masked."""
    return name if id_type in numbers.ORGANISATION_TYPES else person_name(name)


def id_number(number: str) -> str:
    """First and last character only: anything more leaves a few thousand candidates for a citizen's number."""
    if len(number) <= 2:
        return "*" * len(number)
    return number[0] + "*" * (len(number) - 2) + number[-1]


def certificate_number(number: str, *, personal: bool, public_holder: bool) -> str:
    """A personal number like an identity number; a body's in full; else the first four and last two characters."""
    if personal or numbers.contains_citizen_number(number):
        return id_number(number)
    if public_holder:
        return number
    if len(number) <= 8:
        return number[:2] + "*" * max(len(number) - 3, 1) + number[-1:]
    return number[:4] + "*" * (len(number) - 6) + number[-2:]
