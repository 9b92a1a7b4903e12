"""Build a new generation online: walk over the whole repository, catch up with the ledger, swap.

The generation stores its own progress, and every batch is one commit: a build that is killed is resumed, or dropped, by
the next process that builds. Writes continue during a build: it records the ledger's head before it walks, and every
later change has a higher position.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Self

from hub.directory import marks
from hub.directory.entries import FORMAT, names_in, names_text
from hub.directory.writing import BATCH, Writing
from hub.domain.certificate import CertificateKey
from hub.domain.dates import from_micros, to_micros
from hub.runtime.progress import Progress
from hub.store import directory_source, ledger
from hub.store.directory_source import SourceCertificate
from indexer.errors import DirectoryBroken, DirectoryUnavailable

_ReadBatch = Callable[[CertificateKey], list[SourceCertificate]]
_WALK_BATCH = 5000
_KEPT = timedelta(days=1)


class Busy(Exception):  # noqa: N818 (nothing is broken)
    """Another build is in progress."""


class Builder:
    """Builds generations, one at a time across processes."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._directory = writing.directory

    def step(self) -> int:
        """Build one batch of the unfinished generation, after creating it if there is none; 0 while another build runs.

        Raises DirectoryUnavailable if the engine cannot be written. A broken generation is dropped, and the next step
        starts another one.
        """
        with self._lock() as acquired:
            if not acquired:
                return 0
            name = self._unfinished() or self._begin()
            try:
                return self._advance(name)
            except DirectoryBroken:
                self._drop_all_but(self._directory.current())
                raise

    def clean(self) -> None:
        """Drop the remains of a killed build, and the previous generation a day after the swap."""
        with self._lock() as acquired:
            if acquired:
                former = self._former()
                kept = former if former is not None and self._is_young(former) else None
                self._drop_all_but(self._directory.current(), kept)

    def rebuild(self, progress: Progress) -> str:
        """Build a new generation from the beginning and return its name. `progress` counts entries.

        Raises Busy, and DirectoryUnavailable if the engine cannot be written.
        """
        with self._lock() as acquired:
            if not acquired:
                raise Busy
            self._drop_all_but(self._directory.current())
            name = self._begin()
            written = 0
            with _ReadAhead(self._read) as read_ahead:
                while self._directory.current() != name:
                    written += self._advance(name, read_ahead)
                    progress(written, 0)
            return name

    def _begin(self) -> str:
        """Create an empty generation that starts at the ledger's head."""
        catalogue = self._writing.catalogue.refresh()
        position = ledger.head(self._writing.database.reader)
        name = self._directory.create(marks.first(position, names_text(names_in(catalogue))))
        self._writing.advance(name, position)
        return name

    def _unfinished(self) -> str | None:
        """The newest generation if it is not the current one; an unusable one is dropped.

        If the current generation is gone, this is the previous one: catching up is faster than walking.
        """
        names, current = self._directory.names(), self._directory.current()
        if not names or names[-1] == current:
            return None
        try:
            catalogue = self._writing.catalogue()
            is_usable = self._directory.mark(names[-1], marks.FORMAT_OF) == FORMAT
            is_usable = is_usable and self._writing.has_current_names(names[-1], catalogue)
            if is_usable and self._writing.position(names[-1]) <= ledger.head(self._writing.database.reader):
                return names[-1]
        except DirectoryBroken:
            pass
        self._drop_all_but(current)
        return None

    def _advance(self, name: str, read: _ReadBatch | None = None) -> int:
        """Continue the walk, catch up, or swap; returns the number of entries or changes, at least 1 until finished."""
        walked = self._directory.mark(name, marks.WALKED)
        if not isinstance(walked, str):
            raise DirectoryBroken("the generation has no build position")
        if walked != marks.DONE:
            return self._walk(name, (read or self._read)(marks.key_of(walked)))
        done = self._writing.feed(name)
        if done < BATCH:
            self._swap(name)
        return max(done, 1)

    def _read(self, after: CertificateKey) -> list[SourceCertificate]:
        return directory_source.between(self._writing.database.reader, self._writing.vault, after, _WALK_BATCH)

    def _walk(self, name: str, certificates: list[SourceCertificate]) -> int:
        walked = marks.key_text(certificates[-1].key) if certificates else marks.DONE
        return max(self._writing.write(name, certificates, {marks.WALKED: walked}), 1)

    def _swap(self, name: str) -> None:
        """Make this generation current. The previous one is kept for a day or until the next build: requests that have
        just read its name finish on it, and it is the fallback if the new one breaks."""
        former = self._directory.current()
        self._directory.swap(name)
        if former is not None and former != name:
            with suppress(DirectoryUnavailable):
                self._retire(former)
        self._drop_all_but(name, former)

    def _retire(self, name: str) -> None:
        self._directory.write(name, (), {marks.RETIRED: to_micros(self._writing.clock.now())})

    def _is_young(self, name: str) -> bool:
        """Whether a previous generation was current within the last day; if it has no mark, the day starts now."""
        try:
            retired = self._directory.mark(name, marks.RETIRED)
            if not isinstance(retired, int):
                self._retire(name)
                return True
        except DirectoryBroken:
            return False
        return self._writing.clock.now() - from_micros(retired) < _KEPT

    def _former(self) -> str | None:
        """The generation before the current one."""
        current = self._directory.current()
        names = [name for name in self._directory.names() if name != current]
        older = [name for name in names if current is not None and _number(name) < _number(current)]
        return older[-1] if older else None

    def _drop_all_but(self, *kept: str | None) -> None:
        dropped = [name for name in self._directory.names() if name not in kept and name != self._directory.current()]
        for name in dropped:
            self._directory.drop(name)
        if dropped:
            self._forget_cursors()

    def _forget_cursors(self) -> None:
        """Delete the cursors of dropped generations; a feeder may have advanced one after the drop."""
        remaining = {marks.consumer(name) for name in self._directory.names()}
        with self._writing.database.write() as writer:
            for consumer in ledger.consumers(writer, marks.consumer("")):
                if consumer not in remaining:
                    ledger.forget(writer, consumer)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        folder = self._directory.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryUnavailable(str(error)) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)


class _ReadAhead:
    """Reads the next batch of a build while the previous one is written.

    Use one per build: rows read before a build began would be older than the position from which it catches up.
    """

    def __init__(self, read: _ReadBatch) -> None:
        self._read = read
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[CertificateKey, Future[list[SourceCertificate]]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(cancel_futures=True)

    def __call__(self, after: CertificateKey) -> list[SourceCertificate]:
        """The certificates after a key."""
        ready = self._next
        certificates = ready[1].result() if ready is not None and ready[0] == after else self._read(after)
        key = certificates[-1].key if certificates else after
        self._next = (key, self._reader.submit(self._read, key)) if certificates else None
        return certificates


def _number(name: str) -> int:
    return int(name[1:])
