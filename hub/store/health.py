"""What operators ask of the database: whether it answers, and how much waits in it."""

import shutil
from pathlib import Path

from hub.store.database import Reader

COUNTED_AT_MOST = 100_000


def revision(reader: Reader) -> str:
    """The schema's revision as the database has it; raises DatabaseUnavailable when it cannot be read."""
    row = reader.one("SELECT version_num FROM alembic_version")
    return str(row["version_num"]) if row else ""


def outbox_size(reader: Reader) -> int:
    """How many entries wait in the outbox; counting stops at COUNTED_AT_MOST."""
    row = reader.one("SELECT COUNT(*) AS n FROM (SELECT 1 FROM outbox LIMIT :most) AS few", {"most": COUNTED_AT_MOST})
    return int(row["n"]) if row else 0


def overdue_since(reader: Reader) -> int | None:
    """When the intent that has waited longest for its next attempt was due (µs UTC), or None."""
    row = reader.one("SELECT MIN(next_attempt_at) AS due FROM intents WHERE voided = 0")
    return None if row is None else row["due"]


def free_bytes(folder: Path) -> int:
    """Room left where a folder lies."""
    return shutil.disk_usage(folder).free
