"""The worker's heartbeat: a small file in the data directory, written by the worker and read by `/readyz`."""

from datetime import UTC, datetime
from pathlib import Path

EVERY_S = 2.0
"""How often an idle worker writes it."""


def path(data_dir: Path) -> Path:
    """The path of the heartbeat file."""
    return data_dir / "worker.heartbeat"


def beat(data_dir: Path, now: datetime) -> None:
    """Record that the worker is alive; raises OSError."""
    temporary = path(data_dir).with_suffix(".new")
    temporary.write_text(now.astimezone(UTC).isoformat(), encoding="ascii")
    temporary.replace(path(data_dir))


def last(data_dir: Path) -> datetime | None:
    """When the worker last wrote a heartbeat, or None if it never did."""
    try:
        return datetime.fromisoformat(path(data_dir).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
