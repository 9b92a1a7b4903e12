"""Keys are made before INSERT, from blocks of 1,000 that a process takes: 8 bytes, roughly ordered by time."""

import secrets
import threading

from hub.store.database import Database

BLOCK = 1000


class Ids:
    """Numbers by name (`certificate`, `version`, `entry`, `audit`, `intent`); a restart skips what was not used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._ranges: dict[str, tuple[int, int]] = {}

    def take(self, name: str, count: int = 1) -> int:
        """The first of `count` consecutive numbers (at most 1,000) that nobody else gets. May commit a block."""
        with self._lock:
            first, end = self._ranges.get(name, (0, 0))
            if first + count > end:
                first, end = self._block(name)
            self._ranges[name] = (first + count, end)
            return first

    def _block(self, name: str) -> tuple[int, int]:
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


def new_party() -> int:
    """A random 63-bit key that means nothing outside the repository."""
    return secrets.randbits(63) or 1
