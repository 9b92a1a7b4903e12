"""Who is calling: one client of one authority, and the authorities that it may act for."""

from dataclasses import dataclass, field

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
class Caller:
    """A machine account as it stood when the request came in; `request` is that request's id, for the record."""

    client_id: str
    authority: str
    source: str
    acts_for: frozenset[str] = frozenset()
    scopes: frozenset[str] = field(default_factory=frozenset)
    request: str | None = None

    @property
    def authorities(self) -> frozenset[str]:
        """Its own authority and those that it acts for."""
        return self.acts_for | {self.authority}

    def stands_for(self, *codes: str | None) -> bool:
        """Whether it is, or acts for, one of these authorities."""
        return any(code in self.authorities for code in codes if code)


@dataclass(frozen=True, slots=True)
class Clerk:
    """A person at a counter: staff number and name, within one authority."""

    staff_number: str
    name: str
    authority: str
    enabled: bool = True
