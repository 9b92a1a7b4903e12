"""What an entry is: one holding of one certificate, as the directory sees it.

Written whole, never in part; `revision` is its version: a writer with a lower one changes nothing, the same one may
write again. Never deleted: a holding that ended stays as `ended`. Days are integers yyyymmdd; 0 is no day.
"""

from dataclasses import dataclass

NO_DAY = 0
FOREVER = 99991231
"""`valid_until` of 长期 and `superseded_on` of what has no successor: a day range without nulls."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One holding. `party` routes it; `primary` is the holding that directory search shows.

    What it says is what the certificate's current version says. `ended`: the current version names other holders; then
    it says what the party's last version says, and the party holds that until `superseded_on`.

    standing: 1 active, 2 suspended, 3 revoked, 4 superseded. organisation: the names of the holders that are bodies,
    empty when people hold it. title: the type's name. personal: a natural person holds it.
    """

    party: int
    home: int
    certificate: int
    revision: int
    primary: bool
    ended: bool
    identifier: str
    type_code: str
    authority: str
    region: str
    standing: int
    issued_on: int
    valid_from: int
    valid_until: int
    superseded_on: int
    organisation: str
    title: str
    personal: bool

    @property
    def key(self) -> tuple[int, int, int]:
        """What identifies an entry in every engine."""
        return self.party, self.home, self.certificate

    @property
    def text(self) -> str:
        """What free search searches."""
        return f"{self.organisation} {self.title}".strip()

    @property
    def order(self) -> int:
        """The place in a listing, newest first: unique for every certificate, and 63 bits wide."""
        return self.issued_on << 37 | self.certificate & (1 << 37) - 1
