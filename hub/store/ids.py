"""Primary keys, generated before INSERT from blocks of 1,000 per process: 8 bytes, roughly in order of time."""

import secrets
import threading
from typing import Literal, get_args

from hub.db.database import Database, Writer

BLOCK = 1000
SKIPPED = 2**31
"""More numbers than a hub assigns between a backup and its restore: a thousand a second for 24 days."""

Name = Literal["certificate", "version", "entry", "audit", "intent"]
NAMES: tuple[Name, ...] = get_args(Name)


class Ids:
    """Sequences by name; a restart skips unused numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._ranges: dict[Name, tuple[int, int]] = {}

    def take(self, name: Name, count: int = 1) -> int:
        """The first of `count` consecutive numbers (at most 1,000), reserved for the caller. May commit a new block."""
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
    """For a restore: skip all numbers of every sequence that may have been assigned after the backup.

    A version's number is its index in the signed status lists and printed with it, so it must never be reused.
    """
    for name in NAMES:
        writer.run(
            "INSERT INTO id_blocks (name, next) VALUES (:name, :next)"
            " ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + :skipped",
            {"name": name, "next": 1 + SKIPPED, "skipped": SKIPPED},
        )


def new_party() -> int:
    """A random 63-bit key without meaning outside the repository."""
    return secrets.randbits(63) or 1
