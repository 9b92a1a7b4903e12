"""Keys are made before INSERT, from blocks of 1,000 that a process takes: 8 bytes, roughly ordered by time."""

import secrets
import threading
from typing import Literal, get_args

from hub.db.database import Database, Writer

BLOCK = 1000
SKIPPED = 2**31
"""More numbers than any hub gives out between a backup and the day it is put back: a thousand a second for 24 days."""

Name = Literal["certificate", "version", "entry", "audit", "intent"]
NAMES: tuple[Name, ...] = get_args(Name)


class Ids:
    """Numbers by name; a restart skips what was not used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._ranges: dict[Name, tuple[int, int]] = {}

    def take(self, name: Name, count: int = 1) -> int:
        """The first of `count` consecutive numbers (at most 1,000) that nobody else gets. May commit a block."""
        with self._lock:
            first, end = self._ranges.get(name, (0, 0))
            if first + count > end:
                first, end = self._block(name)
            self._ranges[name] = (first + count, end)
            return first

    def _block(self, name: Name) -> tuple[int, int]:
        with self._database.write() as writer:
            writer.run(
                "INSERT INTO id_blocks (name, next) VALUES (:name, 1) ON CONFLICT (name) DO NOTHING", {"name": name}
            )
            row = writer.one(
                "UPDATE id_blocks SET next = next + :block WHERE name = :name RETURNING next",
                {"name": name, "block": BLOCK},
            )
        if row is None:  # pragma: no cover - the row was inserted above
            raise RuntimeError("id_blocks")
        return int(row["next"]) - BLOCK, int(row["next"])


def skip_ahead(writer: Writer) -> None:
    """Leave out, for every name, what may have been given out after the backup that is being put back.

    A version's number is its place in the signed status lists, printed with it for ever: it is never given twice.
    """
    for name in NAMES:
        writer.run(
            "INSERT INTO id_blocks (name, next) VALUES (:name, :next)"
            " ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + :skipped",
            {"name": name, "next": 1 + SKIPPED, "skipped": SKIPPED},
        )


def new_party() -> int:
    """A random 63-bit key that means nothing outside the repository."""
    return secrets.randbits(63) or 1
