"""What may happen to a certificate, and what its state is on a given day.

Stored is the *standing* of the certificate and the dates of each version; the *state* is always computed, so nothing
goes stale at midnight. `state()` is the only function that answers what a state is.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from typing import NamedTuple


class CertificateKey(NamedTuple):
    """Which certificate: the primary key of its row; `home` is the party key of its first holder at first issue."""

    home: int
    certificate: int


class Standing(IntEnum):
    """What has been decided about a certificate; moves are in `MOVES`."""

    ACTIVE = 1
    SUSPENDED = 2
    REVOKED = 3
    SUPERSEDED = 4


class State(StrEnum):
    """What a certificate is today, in order of precedence."""

    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    NOT_YET = "not_yet"
    VALID = "valid"


class ActKind(IntEnum):
    """Everything that can happen to a certificate; the numbers stand in ledger leaves for ever (docs/formats.md)."""

    ISSUED = 1
    CORRECTED = 2
    RENEWED = 3
    SUSPENDED = 4
    RESTORED = 5
    REVOKED = 6
    SUPERSEDED = 7


MOVES: dict[Standing, frozenset[Standing]] = {
    Standing.ACTIVE: frozenset({Standing.SUSPENDED, Standing.REVOKED, Standing.SUPERSEDED}),
    Standing.SUSPENDED: frozenset({Standing.ACTIVE, Standing.REVOKED, Standing.SUPERSEDED}),
    Standing.REVOKED: frozenset(),
    Standing.SUPERSEDED: frozenset(),
}

SUSPENSION_KINDS = {"withheld": "暂扣", "lost": "挂失", "under_change": "变更中", "other": "其他"}
REVOCATION_KINDS = {"penalty": "吊销", "rescinded": "撤销", "cancelled": "注销", "withdrawn": "撤回"}
KIND_EN = {
    "withheld": "withheld",
    "lost": "reported lost",
    "under_change": "under change",
    "other": "other",
    "penalty": "revoked as a penalty",
    "rescinded": "rescinded",
    "cancelled": "cancelled",
    "withdrawn": "withdrawn",
}


@dataclass(frozen=True, slots=True)
class Dates:
    """The days of one version. `valid_until` None is 长期; `superseded_on` is the day its successor begins."""

    issued_on: date
    valid_from: date
    valid_until: date | None
    superseded_on: date | None = None


def state(standing: Standing, dates: Dates, today: date) -> State:
    """The state of a version on a day: the first that applies, in the order of `State`.

    A version whose successor begins later is still what it was until then.
    """
    if standing is Standing.REVOKED:
        return State.REVOKED
    if dates.superseded_on is not None and dates.superseded_on <= today:
        return State.SUPERSEDED
    if dates.valid_until is not None and dates.valid_until < today:
        return State.EXPIRED
    if standing is Standing.SUSPENDED:
        return State.SUSPENDED
    if today < dates.valid_from:
        return State.NOT_YET
    return State.VALID


def may_move(standing: Standing, to: Standing, dates: Dates, today: date) -> bool:
    """Whether a certificate may move; one that a successor has replaced by today is final."""
    if dates.superseded_on is not None and dates.superseded_on <= today:
        return False
    return to in MOVES[standing]
