"""Queries to the directory as pure data, and their results. `matches` defines the semantics that every engine
implements."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from indexer import tokens
from indexer.entry import Entry

MAX_LIMIT = 200
FACET_SAMPLE = 250
"""Facets are counted over the newest matches only: counting all of them would cost as much as there are matches."""
STATES = ("revoked", "superseded", "expired", "suspended", "not_yet", "valid")


@dataclass(frozen=True, slots=True)
class Search:
    """A search over primary entries, or over all entries of one party; newest first.

    text: searched in organisations and titles, empty for all. today: yyyymmdd, the day for which `state` is computed.
    persons_of: authorities whose certificates of natural persons are included; those of all other authorities are
    excluded. before: continue after the entry with this order; None starts at the newest. limit: 1 to 200.
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
        """The tokens of `text`; empty if it has none that can be searched."""
        return tokens.query_tokens(self.text) if self.text else []


@dataclass(frozen=True, slots=True)
class Page:
    """One page of entries; `next` is where the next page begins, None at the end.

    facets: field to value to count, over the newest FACET_SAMPLE matches; `sampled` if there are more.
    """

    entries: tuple[Entry, ...]
    next: int | None
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sampled: bool = False


def region_prefix(region: str) -> str:
    """The common prefix of all regions within this one (GB/T 2260: province, city and county are pairs of digits)."""
    while len(region) > 2 and region.endswith("00"):
        region = region[:-2]
    return region


def state_of(entry: Entry, today: int) -> str:
    """The state of an entry on a day."""
    return state(entry.standing, entry.valid_from, entry.valid_until, entry.superseded_on, today)


def state(standing: int, valid_from: int, valid_until: int, superseded_on: int, today: int) -> str:
    """The state that follows from standing and days, in the contract's order of precedence."""
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
    """Whether an entry matches a search, apart from page and order."""
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
