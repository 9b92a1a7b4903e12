"""A small file system, to test a full disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT_BYTES = 8 * 1024 * 1024


class Volume:
    """A small file system of its own, filled up to the last bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, leave: int) -> None:
        with self._filler.open("wb") as out:
            free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_bsize
            out.write(b"x" * (free - leave))

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def volume(path: Path, size: int = MOUNT_BYTES) -> Iterator[Volume]:
    """Skips the test if this user cannot mount; the limits below remain as a substitute."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount")
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
