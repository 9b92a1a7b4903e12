"""An entry of the directory: one holding of one certificate.

An entry is always written whole. Its `revision` is its version: a lower one changes nothing, the same one may be
written again. Entries are never deleted: a holding that has ended stays, marked `ended`. Days are integers yyyymmdd.
"""

from typing import NamedTuple

NO_DAY = 0
FOREVER = 99991231
"""`valid_until` of a certificate without expiry (长期) and `superseded_on` of one without successor, so that ranges of
days need no nulls."""

EntryKey = tuple[int, int, int]
"""(party, home, certificate)."""


class Entry(NamedTuple):
    """One holding. Documents and rows are made of the fields in this order.

    party: the holder, whose entries are kept in one shard. primary: the holding that directory search shows.

    An entry describes the certificate's current version. `ended`: the current version names other holders; then the
    entry describes the party's last version, which the party holds until `superseded_on`.

    standing: 1 active, 2 suspended, 3 revoked, 4 superseded. organisation: the names of the holders that are
    organisations, empty for natural persons. title: the name of the certificate type. personal: whether a natural
    person holds it.
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
    def key(self) -> EntryKey:
        """What identifies an entry in every engine."""
        return self[:3]

    @property
    def text(self) -> str:
        """The text that free search covers."""
        return f"{self.organisation} {self.title}".strip()

    @property
    def order(self) -> int:
        """The sort key of listings, newest first: unique for every certificate, and 63 bits wide."""
        return self.issued_on << 37 | self.certificate & (1 << 37) - 1
