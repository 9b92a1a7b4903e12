"""A version of a certificate, as recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from hub.domain.case import Person
from hub.domain.certificate import Dates, Standing, State, state
from hub.domain.values import Value

ISSUED = 1
COLLECTED = 2


@dataclass(frozen=True, slots=True)
class Version:
    """One version with its certificate's standing; `holders` and `parties` are in the same order."""

    home: int
    certificate: int
    version: int
    current_version: int
    version_key: int
    identifier: str
    code: str
    type_code: str
    authority: str
    serial: str
    origin: int
    edition: int
    standing: Standing
    revision: int
    dates: Dates
    source: str
    case_number: str
    recorded_at: int
    kid: str
    credential: str
    digits: str
    number: str
    holders: tuple[Person, ...]
    parties: tuple[int, ...]
    fields: Mapping[str, Value]
    salt: bytes

    def state(self, today: date) -> State:
        """The state of this version on a day."""
        return state(self.standing, self.dates, today)

    @property
    def is_current(self) -> bool:
        """Whether there is no later version."""
        return self.version == self.current_version

    @property
    def origin_word(self) -> str:
        """`issued` if the hub issued it, or `collected`."""
        return "issued" if self.origin == ISSUED else "collected"
