"""`hub serve` locks a file in its data directory; the kernel releases the lock when the process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the lock; raises BlockingIOError if another process has it, OSError if there is no directory."""
    lock = os.open(_path(data_dir), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def is_held(data_dir: Path) -> bool:
    """Whether a process on this machine holds the lock."""
    try:
        lock = os.open(_path(data_dir), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _path(data_dir: Path) -> Path:
    return data_dir / "serve.lock"
