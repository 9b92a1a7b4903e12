"""The interface of a directory engine. Two implement it: `indexer.embedded` and `indexer.elastic`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer.entry import Entry, EntryKey
from indexer.query import Page, Search

__all__ = ["POSITION", "DirectoryEngine", "EntryKey", "Mark", "OnRejected", "RejectedEntry", "ServerState", "reject"]

Mark = int | str
"""A named value that a generation stores next to its entries; a number only ever grows."""

POSITION = "position"
"""The mark with the ledger position up to which a generation has every change."""


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """An entry that the engine will never accept as it is. reason: the engine's own code, never a value."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of the servers behind an engine.

    versions: of all nodes. status: green, yellow, red; unassigned: shard copies without a node. clocks: ms UTC by node.
    full: nodes whose disk receives no more shards. is_closed: one of our indexes is blocked for writes.
    """

    versions: tuple[str, ...]
    status: str
    unassigned: int
    clocks: Mapping[str, int]
    full: tuple[str, ...]
    is_closed: bool


OnRejected = Callable[[Sequence[RejectedEntry]], None]
"""Records rejected entries; called before any mark that counts them as written."""


def reject(entries: Sequence[RejectedEntry]) -> None:
    """For callers that expect every entry to be accepted."""
    raise ValueError(f"{len(entries)} entries were rejected: {entries[0].reason}")


class DirectoryEngine(Protocol):
    """Generations of entries, one of which is current and serves queries. Safe to share between threads; open a new one
    after a fork.

    All errors are DirectoryUnavailable; DirectoryBroken if a generation is permanently gone or was made by another
    release. Generations are named g1, g2, … in the order in which they were created.
    """

    folder: Path
    """Contains the lock that processes of one machine take to rebuild."""

    def current(self) -> str | None:
        """The current generation, None before the first."""

    def answering(self, mark: str) -> tuple[str, Mark] | None:
        """The current generation and one of its marks, possibly a second old; None without either.

        For callers that also read every change past that mark. A stale result loses nothing: a generation only gains
        entries, and the previous generation stays after a swap.
        """

    def names(self) -> list[str]:
        """Every generation, oldest first."""

    def create(self, marks: Mapping[str, Mark] | None = None) -> str:
        """Create an empty generation with these marks and return its name. It serves no queries until `swap`."""

    def swap(self, name: str) -> None:
        """Make a generation current, atomically for every process."""

    def drop(self, name: str) -> None:
        """Delete a generation; ValueError for the current one."""

    def examine(self, name: str) -> None:
        """Check a generation thoroughly; raises DirectoryBroken if it is corrupt."""

    def require_whole(self, name: str) -> None:
        """Raise DirectoryBroken if a generation has lost a part but still answers; costs one query.

        `of_party` and `search` check this themselves.
        """

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
        on_rejected: OnRejected = reject,
    ) -> int:
        """Upsert entries, then marks; returns the number of entries written.

        An entry with a lower revision than the stored one is skipped, and so is a lower number for a mark. Entries of
        `instead_of` are deleted first, where they are still stored exactly like this. Whenever it is interrupted, no
        mark covers an entry that is not stored. On return the entries are searchable if the generation is current,
        otherwise as soon as it becomes current.
        """

    def mark(self, name: str, mark: str) -> Mark | None:
        """One of a generation's marks, None if it was never set."""

    def of_party(self, name: str, party: int, type_codes: Sequence[str], today: int) -> list[Entry]:
        """What a party holds of some types on a day (yyyymmdd), in no particular order."""

    def search(self, name: str, search: Search) -> Page:
        """One page; facets on the first page only."""

    def walk(self, name: str, after: EntryKey, limit: int) -> list[Entry]:
        """The next entries of a generation in key order, at most 10,000; for comparisons."""

    def find(self, name: str, key: EntryKey) -> Entry | None:
        """One entry of a generation."""

    def count(self, name: str) -> int:
        """The number of entries in a generation, including ended ones."""

    def server(self) -> ServerState | None:
        """The state of the servers behind the engine; None for the embedded engine."""
