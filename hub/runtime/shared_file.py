"""Memory and locks that all processes of one server share, in a file without a name."""

import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIZE = 2 * 1024 * 1024
HEADER = 4096
_KEY_BYTES = 32
_LOCK = 0


class SharedFile:
    """The first process makes it, and its children inherit it by number. The kernel frees it after the last process,
    and releases the locks of a process that ends, however it ends.
    """

    def __init__(self, number: int | None = None) -> None:
        """number: the inherited file descriptor; None makes a new file."""
        self.number = os.memfd_create("hub-limits") if number is None else os.dup(number)
        if number is None:
            os.truncate(self.number, SIZE)
            os.pwrite(self.number, secrets.token_bytes(_KEY_BYTES), 0)
        self.memory = mmap.mmap(self.number, SIZE)
        self.key = self.memory[:_KEY_BYTES]
        """A random key, the same in all processes: what is stored under a keyed hash cannot be made to collide."""
        self._threads = threading.Lock()

    def close(self) -> None:
        """Release memory and locks."""
        self.memory.close()
        os.close(self.number)

    @contextmanager
    def locked(self) -> Iterator[mmap.mmap]:
        """The memory, alone among all threads of all processes."""
        with self._threads:
            fcntl.lockf(self.number, fcntl.LOCK_EX, 1, _LOCK)
            try:
                yield self.memory
            finally:
                fcntl.lockf(self.number, fcntl.LOCK_UN, 1, _LOCK)

    def try_hold(self, place: int) -> bool:
        """Hold a place, a positive number, unless another process does. Threads of this process are not kept apart."""
        try:
            fcntl.lockf(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def let_go(self, place: int) -> None:
        """Stop holding a place."""
        fcntl.lockf(self.number, fcntl.LOCK_UN, 1, place)
