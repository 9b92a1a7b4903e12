"""Questions to the directory as pure data, and what answers look like; `matches` is what every engine agrees with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from indexer import tokens
from indexer.entry import Entry

MAX_LIMIT = 200
FACET_SAMPLE = 250
"""Counting all matches would cost as much as there are matches; the newest tell what there is to filter by."""
STATES = ("revoked", "superseded", "expired", "suspended", "not_yet", "valid")


@dataclass(frozen=True, slots=True)
class Search:
    """A free search over primary entries, or over those of one party whether primary or not; newest first.

    text: searched in organisations and titles, empty for all. today: yyyymmdd, for which `state` is meant.
    persons_of: authorities whose own certificates of natural persons may appear; all others' never do.
    before: continue after the entry with this order; None from the newest. limit: 1 to 200.
    """

    today: int
    text: str = ""
    type_code: str = ""
    authority: str = ""
    region: str = ""
    state: str = ""
    party: int | None = None
    issued_from: int | None = None
    issued_to: int | None = None
    persons_of: frozenset[str] = frozenset()
    before: int | None = None
    limit: int = 50

    @property
    def tokens(self) -> list[str]:
        """The tokens of `text`; empty where it has none worth asking."""
        return tokens.query_tokens(self.text) if self.text else []


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of one page; `next` continues it, None at the end.

    facets: field to value to count, over the newest FACET_SAMPLE matches; `sampled` when there are more.
    """

    entries: tuple[Entry, ...]
    next: int | None
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sampled: bool = False


def region_prefix(region: str) -> str:
    """What every region within this one begins with (GB/T 2260: province, city and county are pairs of digits)."""
    while len(region) > 2 and region.endswith("00"):
        region = region[:-2]
    return region


def state_of(entry: Entry, today: int) -> str:
    """The state of an entry on a day."""
    return state(entry.standing, entry.valid_from, entry.valid_until, entry.superseded_on, today)


def state(standing: int, valid_from: int, valid_until: int, superseded_on: int, today: int) -> str:
    """What an entry's standing and days mean on a day, in the contract's precedence."""
    if standing == 3:
        return "revoked"
    if superseded_on <= today:
        return "superseded"
    if valid_until < today:
        return "expired"
    if standing == 2:
        return "suspended"
    return "not_yet" if today < valid_from else "valid"


def matches(search: Search, entry: Entry) -> bool:
    """Whether an entry answers a search, page and order apart."""
    if entry.ended or not (entry.primary or search.party is not None):
        return False
    if entry.personal and entry.authority not in search.persons_of:
        return False
    same = ((search.type_code, entry.type_code), (search.authority, entry.authority))
    if any(wanted and wanted != found for wanted, found in same):
        return False
    if search.region and not entry.region.startswith(region_prefix(search.region)):
        return False
    if search.party is not None and search.party != entry.party:
        return False
    if search.issued_from is not None and entry.issued_on < search.issued_from:
        return False
    if search.issued_to is not None and entry.issued_on > search.issued_to:
        return False
    if search.state and state_of(entry, search.today) != search.state:
        return False
    if not search.text:
        return True
    words = search.tokens
    return bool(words) and tokens.matches(words, entry.text)
