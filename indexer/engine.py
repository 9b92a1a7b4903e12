"""What the directory asks of an engine; two keep it: `indexer.embedded` and `indexer.elastic`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer.entry import Entry
from indexer.query import Page, Search

Mark = int | str
"""A value beside the entries; a number only ever grows."""
EntryKey = tuple[int, int, int]
"""(party, home, certificate)."""

POSITION = "position"
"""The mark that says up to which ledger position a generation knows every change."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An entry that the engine will never take as it is. reason: a code of the engine's, never a value."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """The servers behind an engine.

    versions: of all nodes. status: green, yellow, red; unassigned: copies of shards that no node has. clocks: ms UTC by
    node. full: nodes whose disk gets no more shards. is_closed: an index of ours takes no writes.
    """

    versions: tuple[str, ...]
    status: str
    unassigned: int
    clocks: Mapping[str, int]
    full: tuple[str, ...]
    is_closed: bool


Aside = Callable[[Sequence[SetAside]], None]
"""Puts entries on record that were set aside; called before any mark that counts them as written."""


def refuse(entries: Sequence[SetAside]) -> None:
    """For who expects every entry to be taken."""
    raise ValueError(f"{len(entries)} entries were refused: {entries[0].reason}")


class DirectoryEngine(Protocol):
    """Generations of entries, of which one answers. Safe to share between threads; open it again after a fork.

    Every fault is DirectoryUnavailable; DirectoryBroken where a generation is gone, or not of this release, for good.
    A generation is named g1, g2, … in the order in which they were made.
    """

    folder: Path
    """Where the processes of one machine agree on who builds a generation."""

    def current(self) -> str | None:
        """The generation that answers, None before the first."""

    def answering(self, mark: str) -> tuple[str, Mark] | None:
        """The generation that answers and one of its marks, perhaps as they were a second ago; None without either.

        For who looks beside it at everything past that mark: what is older than this moment costs him no completeness,
        for a generation only learns, and the former one stays after a swap.
        """

    def names(self) -> list[str]:
        """Every generation, oldest first."""

    def create(self, marks: Mapping[str, Mark] | None = None) -> str:
        """A new, empty generation with these marks; its name. It answers nothing until `swap`."""

    def swap(self, name: str) -> None:
        """Let a generation answer from now on, at once and for every process."""

    def drop(self, name: str) -> None:
        """Delete a generation; ValueError for the one that answers."""

    def examine(self, name: str) -> None:
        """Look closely at a generation; raises DirectoryBroken when it is not sound."""

    def require_whole(self, name: str) -> None:
        """Raise DirectoryBroken where a generation has lost a part and answers all the same; costs one question.

        `of_party` and `search` do so by themselves.
        """

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
        aside: Aside = refuse,
    ) -> int:
        """Write whole entries, then marks; how many entries were written.

        A lower revision than what is there is left out, and so is a lower number for a mark. Entries of `instead_of`
        are taken out first, where they are still exactly this. Whatever moment it is cut short in, no mark speaks of
        an entry that is not there. When it returns, the entries can be found if the generation answers, otherwise once
        it does.
        """

    def mark(self, name: str, mark: str) -> Mark | None:
        """One of a generation's marks, None where it was never set."""

    def of_party(self, name: str, party: int, type_codes: Sequence[str], today: int) -> list[Entry]:
        """What a party holds of some types on a day (yyyymmdd), in no order that counts."""

    def search(self, name: str, search: Search) -> Page:
        """One page; facets on the first page only."""

    def walk(self, name: str, after: EntryKey, limit: int) -> list[Entry]:
        """The next entries of a generation in the order of their keys, at most 10,000: how two are compared."""

    def find(self, name: str, key: EntryKey) -> Entry | None:
        """One entry of a generation."""

    def count(self, name: str) -> int:
        """How many entries a generation has, ended ones too."""

    def server(self) -> ServerState | None:
        """How the servers behind the engine are; None where there are none."""
