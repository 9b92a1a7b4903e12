"""What operators need to know about the database: whether it answers, and how much work is queued in it."""

import shutil
from pathlib import Path

from hub.db.database import Reader

COUNTED_AT_MOST = 100_000


def revision(reader: Reader) -> str:
    """The schema revision recorded in the database; raises DatabaseUnavailable if it cannot be read."""
    row = reader.one("SELECT version_num FROM alembic_version")
    return str(row["version_num"]) if row else ""


def outbox_size(reader: Reader) -> int:
    """How many entries are in the outbox; counting stops at COUNTED_AT_MOST."""
    row = reader.one("SELECT COUNT(*) AS n FROM (SELECT 1 FROM outbox LIMIT :most) AS few", {"most": COUNTED_AT_MOST})
    return int(row["n"]) if row else 0


def overdue_since(reader: Reader) -> int | None:
    """When the most overdue intent was due for its next attempt (µs UTC), or None."""
    row = reader.one("SELECT MIN(next_attempt_at) AS due FROM intents WHERE voided = 0")
    return None if row is None else row["due"]


def newest_change(reader: Reader) -> int | None:
    """When the change at the last ledger position was recorded (µs UTC), or None while the ledger is empty."""
    row = reader.one(
        "SELECT a.recorded_at AS at FROM ledger l JOIN acts a ON a.home = l.home AND a.certificate = l.certificate"
        " AND a.revision = l.revision WHERE l.position = (SELECT MAX(position) FROM ledger)"
    )
    return None if row is None else int(row["at"])


def engine_version(reader: Reader, *, embedded: bool) -> tuple[int, ...]:
    """The engine's version: that of the SQLite library or of the PostgreSQL server."""
    if embedded:
        row = reader.one("SELECT sqlite_version() AS version")
    else:
        row = reader.one("SELECT current_setting('server_version') AS version")
    text = "" if row is None else str(row["version"]).partition(" ")[0]
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def server_clock(reader: Reader) -> int:
    """The time on a PostgreSQL server (µs UTC)."""
    row = reader.one("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now")
    return 0 if row is None else int(row["now"])


def free_bytes(folder: Path) -> int:
    """Free space on the folder's file system."""
    return shutil.disk_usage(folder).free
