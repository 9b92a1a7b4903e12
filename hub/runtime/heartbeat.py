"""The worker's sign of life: a small file in the data directory, written by the worker and read by `/readyz`."""

from datetime import UTC, datetime
from pathlib import Path

EVERY_S = 2.0
"""How often a worker with nothing to do writes it."""


def path(data_dir: Path) -> Path:
    """Where it lies."""
    return data_dir / "worker.heartbeat"


def beat(data_dir: Path, now: datetime) -> None:
    """Say that the worker is alive; raises OSError."""
    temporary = path(data_dir).with_suffix(".new")
    temporary.write_text(now.astimezone(UTC).isoformat(), encoding="ascii")
    temporary.replace(path(data_dir))


def last(data_dir: Path) -> datetime | None:
    """When the worker was last alive, or None where it never was."""
    try:
        return datetime.fromisoformat(path(data_dir).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
