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

    It is made when it is first used: most commands never need it.
    """

    def __init__(self, number: int | None = None) -> None:
        """number: the inherited file descriptor; None makes a new file."""
        self._threads = threading.RLock()
        self._number = None if number is None else os.dup(number)
        self._memory: mmap.mmap | None = None

    @property
    def number(self) -> int:
        """The file descriptor, for children to inherit."""
        with self._threads:
            return self._opened()[0]

    @property
    def key(self) -> bytes:
        """A random key, the same in all processes: what is stored under a keyed hash cannot be made to collide."""
        with self._threads:
            return self._opened()[1][:_KEY_BYTES]

    def _opened(self) -> tuple[int, mmap.mmap]:
        """Call it with the lock of the threads."""
        if self._number is None:
            self._number = os.memfd_create("hub-limits")
            os.truncate(self._number, SIZE)
            os.pwrite(self._number, secrets.token_bytes(_KEY_BYTES), 0)
        if self._memory is None:
            self._memory = mmap.mmap(self._number, SIZE)
        return self._number, self._memory

    def close(self) -> None:
        """Release memory and locks."""
        with self._threads:
            if self._memory is not None:
                self._memory.close()
            if self._number is not None:
                os.close(self._number)

    @contextmanager
    def locked(self) -> Iterator[mmap.mmap]:
        """The memory, alone among all threads of all processes."""
        with self._threads:
            number, memory = self._opened()
            fcntl.lockf(number, fcntl.LOCK_EX, 1, _LOCK)
            try:
                yield memory
            finally:
                fcntl.lockf(number, fcntl.LOCK_UN, 1, _LOCK)

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
