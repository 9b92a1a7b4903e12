"""The simplest model of certificates: no rows, no acts, nothing of the hub but its terms.

Only dates and standings; a random history runs both here and in a town, and the results are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from tests.support.town import Body

FINAL = ("revoked", "superseded")


@dataclass
class Version:
    """`pushed`: its content. `end`: the day its successor takes effect."""

    pushed: Body
    identifier: str = ""
    case: str = ""
    standing: str = "active"
    end: date | None = None

    @property
    def start(self) -> date:
        return date.fromisoformat(self.pushed["valid_from"])

    def state(self, today: date) -> str:
        until = self.pushed["valid_until"]
        if self.standing == "revoked":
            return "revoked"
        if self.end is not None and self.end <= today:
            return "superseded"
        if until is not None and date.fromisoformat(until) < today:
            return "expired"
        if self.standing == "suspended":
            return "suspended"
        return "not_yet" if today < self.start else "valid"


@dataclass
class Certificate:
    versions: list[Version]
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def current(self) -> Version:
        return self.versions[-1]

    @property
    def number(self) -> str:
        return str(self.current.pushed["number"])

    def is_replaceable(self, version: Version) -> bool:
        return version is self.current and version.end is None and version.standing not in FINAL

    def corrected(self, version: Version, decided: date, today: date) -> None:
        """`decided`: the day of the push; `today`: the day of publication."""
        never_begins = decided <= self.current.start
        former = self.current.start if never_begins else None
        version.standing = self.current.standing
        self.current.end = decided
        self._end_earlier(self.versions[:-1], former, version.start, today)
        self.versions.append(version)

    def renewed(self, version: Version, today: date) -> None:
        former = self.current.start if version.start <= self.current.start else None
        version.standing = "revoked" if self.current.standing == "revoked" else "active"
        self.current.end = version.start
        self._end_earlier(self.versions[:-1], former, version.start, today)
        self.versions.append(version)

    def replaced(self, on: date, today: date) -> None:
        if self.current.standing == "revoked":
            return
        former, self.current.end = self.current.end, on
        self._end_earlier(self.versions[:-1], former, min(on, self.current.start), today)
        if on <= today:
            self.stand("superseded")

    def stand(self, standing: str) -> None:
        for version in self.versions:
            version.standing = standing

    def may(self, act: str, version: Version, today: date) -> bool:
        """Whether a version's identifier may be used to suspend, restore or revoke the certificate."""
        if version.end is not None and version.end <= today:
            return False
        allowed = {"suspend": ("active",), "restore": ("suspended",), "revoke": ("active", "suspended")}
        return version.standing in allowed[act]

    def open_versions(self, today: date) -> list[Version]:
        """The versions shown to a holder: all those that are not over, and the newest one in any state."""
        return [v for v in self.versions if v is self.current or (v.end is not None and v.end > today)]

    @staticmethod
    def _end_earlier(versions: Sequence[Version], former: date | None, on: date, today: date) -> None:
        for version in reversed(versions):
            if version.end is not None and version.end > today:
                version.end = on if former == version.end else min(on, version.end)
                on = min(on, version.start)


@dataclass
class Case:
    """`grants`: the versions that it granted, in pushed order. `names`: what each of them supersedes."""

    number: str
    amendment: int = 0
    grants: list[tuple[Certificate, Version]] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
