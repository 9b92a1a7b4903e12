"""The caller: a client of one authority, and the authorities on whose behalf it may act; and clerks."""

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
    """A client account as of the start of a request; `request` is the request's id, for the audit log."""

    client_id: str
    authority: str
    source: str
    acts_for: frozenset[str] = frozenset()
    scopes: frozenset[str] = field(default_factory=frozenset)
    request: str | None = None

    @property
    def authorities(self) -> frozenset[str]:
        """Its own authority and those on whose behalf it acts."""
        return self.acts_for | {self.authority}

    def decides(self, authority: str, accepted_by: str) -> bool:
        """Whether an ending of a case by this caller is the decision of `authority`, which decides the case.

        A caller that acts for it does not decide what its own authority took in.
        """
        return self.authority == authority or (authority in self.acts_for and self.authority != accepted_by)

    def stands_for(self, *codes: str | None) -> bool:
        """Whether it belongs to, or acts for, one of these authorities."""
        return any(code in self.authorities for code in codes if code)


@dataclass(frozen=True, slots=True)
class Clerk:
    """A person at a counter, with a staff number and a name, within one authority."""

    staff_number: str
    name: str
    authority: str
    enabled: bool = True
