"""The acts that can change a certificate, and its state on a given day.

Stored are the *standing* of the certificate and the dates of each version; the *state* is always computed, so nothing
becomes stale at midnight. Only `state()` computes a state.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from typing import NamedTuple


class CertificateKey(NamedTuple):
    """The primary key of a certificate."""

    home: int
    certificate: int


class Standing(IntEnum):
    """The standing of a certificate as last decided; `TRANSITIONS` lists the allowed changes."""

    ACTIVE = 1
    SUSPENDED = 2
    REVOKED = 3
    SUPERSEDED = 4


class State(StrEnum):
    """The state of a certificate today, in order of precedence."""

    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    NOT_YET = "not_yet"
    VALID = "valid"


class ActKind(IntEnum):
    """Every kind of act; its numbers are in ledger leaves permanently (docs/formats.md)."""

    ISSUED = 1
    CORRECTED = 2
    RENEWED = 3
    SUSPENDED = 4
    RESTORED = 5
    REVOKED = 6
    SUPERSEDED = 7


TRANSITIONS: dict[Standing, frozenset[Standing]] = {
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
    """The dates of one version. `valid_until` None is 长期; `superseded_on` is the day its successor takes effect."""

    issued_on: date
    valid_from: date
    valid_until: date | None
    superseded_on: date | None = None


def state(standing: Standing, dates: Dates, today: date) -> State:
    """The state of a version on a day: the first that applies, in the order of `State`.

    A version whose successor takes effect later keeps its state until that day.
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


def may_transition(standing: Standing, to: Standing, dates: Dates, today: date) -> bool:
    """Whether the transition is allowed; a version superseded by today is final."""
    if dates.superseded_on is not None and dates.superseded_on <= today:
        return False
    return to in TRANSITIONS[standing]
