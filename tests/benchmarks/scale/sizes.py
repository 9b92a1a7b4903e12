"""The sizes of everything, and the resulting size per certificate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.benchmarks.scale.repository import WITHIN

PUSHED = ("pushes", "intents", "audit")


@dataclass(slots=True)
class Sizes:
    """Bytes: by table (rows, indexes), of the directory, and of the rows that pushes add to their certificates."""

    certificates: int = 0
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    entries: int = 0
    directory: int = 0
    pushed: int = 0
    beside_push: float = 0.0

    @property
    def a_certificate(self) -> float:
        """Rows and indexes that every certificate has."""
        return sum(sum(self.tables.get(name, (0, 0))) for name in (*WITHIN, "hub.db")) / max(self.certificates, 1)

    @property
    def an_entry(self) -> float:
        """Per entry in the directory."""
        return self.directory / max(self.entries, 1)

    @property
    def a_push(self) -> float:
        """What an issued certificate has in addition to a collected one: the push, its reply, the audit entry."""
        return self.beside_push / max(self.pushed, 1)

    def note_pushes(
        self, count: int, before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
    ) -> None:
        """Record the size added by this many pushes; in a single-file engine, subtract what their certificates take."""
        names = [name for name in PUSHED if name in after]
        grown = sum(sum(after[name]) - sum(before[name]) for name in names or after)
        self.pushed = count
        self.beside_push = max(0.0, grown if names else grown - count * self.a_certificate)
