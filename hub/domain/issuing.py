"""Certificates that are decided and reserved, but not yet signed and published: the intent of a case.

Intents are kept in a format of their own (`hub.store.intents`); a new field must be added there too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from hub.domain.case import Person
from hub.domain.case_record import PushKey
from hub.domain.certificate import ActKind
from hub.domain.values import Value


@dataclass(frozen=True, slots=True)
class Ending:
    """A version that the new one replaces; `same_certificate` if both belong to the same certificate."""

    home: int
    certificate: int
    version: int
    version_key: int
    identifier: str
    on: date
    same_certificate: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """One certificate of a case: every reserved number, and the exact bytes to be signed.

    `kind` None: the certificate stays unchanged (an amendment repeats it). `parties` are in the order of `holders`.
    """

    kind: ActKind | None
    home: int
    certificate: int
    version: int
    version_key: int
    serial: str
    identifier: str
    code: str
    type_code: str
    authority: str
    edition: int
    number: str
    holders: tuple[Person, ...]
    parties: tuple[int, ...]
    fields: Mapping[str, Value]
    issued_on: date
    valid_from: date
    valid_until: date | None
    salt: bytes
    kid: str
    signing_input: bytes
    disclosures: tuple[str, ...]
    qr_to_be_signed: bytes
    qr_protected: bytes
    qr_payload: bytes
    endings: tuple[Ending, ...] = ()
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """The decided certificates of one case. `push_key` is the primary key of the push that waits for the reply."""

    intent: int
    source: str
    case_number: str
    amendment: int
    client: str
    push_key: PushKey
    planned: tuple[Planned, ...]
    attempts: int = 0

    @property
    def kids(self) -> list[str]:
        """The keys that sign it; empty if all certificates stay unchanged."""
        return sorted({planned.kid for planned in self.planned if planned.kind is not None})


@dataclass(frozen=True, slots=True)
class Signed:
    """A planned certificate with its two verified signatures; texts as they will be stored.

    An unchanged one has no new credential and keeps its digits.
    """

    planned: Planned
    credential: str
    digits: str
