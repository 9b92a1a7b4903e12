"""The caller: a client of one authority, and the authorities on whose behalf it may act; and clerks."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

SCOPES = frozenset(
    {
        "cases:write",
        "certificates:lookup",
        "certificates:retrieve",
        "certificates:manage",
        "directory:search",
        "catalogue:write",
        "reports:read",
        "audit:read",
    }
)


@dataclass(frozen=True, slots=True)
class Limited:
    """An authority that a client acts for within limits: in these matters (empty: all), for cases of this source (None:
    any).
    """

    authority: str
    matters: frozenset[str] = frozenset()
    source: str | None = None

    def covers(self, matter: str, source: str) -> bool:
        """Whether a case is within the limits."""
        return (not self.matters or matter in self.matters) and self.source in {None, source}


@dataclass(frozen=True, slots=True)
class Caller:
    """A client account as of the start of a request; `request` is the request's id, for the audit log.

    acts_for: authorities on whose behalf it acts in everything; for those in `limited`, see `within`.
    """

    client_id: str
    authority: str
    source: str
    acts_for: frozenset[str] = frozenset()
    scopes: frozenset[str] = field(default_factory=frozenset)
    request: str | None = None
    limited: frozenset[Limited] = frozenset()

    @property
    def authorities(self) -> frozenset[str]:
        """Its own authority and those on whose behalf it acts."""
        return self.acts_for | {self.authority}

    def decides(self, authority: str, accepted_by: str) -> bool:
        """Whether an ending of a case by this caller is the decision of `authority`, which decides the case.

        A caller that acts for it does not decide what its own authority took in.
        """
        return self.authority == authority or (authority in self.acts_for and self.authority != accepted_by)

    def within(self, matter: str, source: str) -> "Caller":
        """The same caller for one case: it also acts for the authorities whose limits cover the case.

        What it returns is of no use for another case.
        """
        covered = {item.authority for item in self.limited if item.covers(matter, source)}
        return replace(self, acts_for=self.acts_for | covered) if covered else self

    def stands_for(self, *codes: str | None) -> bool:
        """Whether it belongs to, or acts for, one of these authorities."""
        return any(code in self.authorities for code in codes if code)


def acting_for(entry: str) -> Limited:
    """The authority and matters of an entry `CODE` or `CODE:MATTER,…` of a client; raises ValueError."""
    code, colon, listed = entry.partition(":")
    matters = listed.split(",") if colon else []
    if not code or not all(matters) or len(set(matters)) < len(matters):
        raise ValueError("neither CODE nor CODE:MATTER,…")
    return Limited(code, frozenset(matters))


def authorities_of(entries: Iterable[str], source: str | None) -> tuple[frozenset[str], frozenset[Limited]]:
    """(authorities acted for in everything, those within limits) of a client's entries.

    source: the only one whose cases they are about, if the client is limited to its own.
    """
    found = [replace(acting_for(entry), source=source) for entry in entries]
    limited = frozenset(item for item in found if item.matters or item.source is not None)
    return frozenset(item.authority for item in found if item not in limited), limited


@dataclass(frozen=True, slots=True)
class Clerk:
    """A person at a counter, with a staff number and a name, within one authority."""

    staff_number: str
    name: str
    authority: str
    enabled: bool = True

    @property
    def key(self) -> str:
        """The clerk as counted and recorded: staff numbers are unique only within an authority."""
        return f"{self.authority}|{self.staff_number}"
