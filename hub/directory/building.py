"""A new generation beside the one that answers: walk over everything, catch up with the ledger, swap.

All that is known of its progress is in the generation itself, and every batch is one commit, so a build may be killed
anywhere and goes on, or is thrown away, by whoever comes next. Writes go on meanwhile: the walk begins by noting the
ledger's head, and whatever changes later has a later position.
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
from hub.store.directory_source import Listed
from indexer.errors import DirectoryBroken, DirectoryUnavailable

_Read = Callable[[CertificateKey], list[Listed]]
_WALK_BATCH = 5000
_KEPT = timedelta(days=1)


class Busy(Exception):  # noqa: N818 (nothing is broken)
    """Somebody else is building a generation."""


class Builder:
    """Builds generations, one at a time across processes."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._directory = writing.directory

    def step(self) -> int:
        """One batch of the generation in the making, which is begun where there is none; 0 while another builds.

        Raises DirectoryUnavailable where it cannot be written; one that has broken is dropped, for the next step to
        begin anew.
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
        """Throw away what a killed build left, and the former generation a day after it ceased to answer."""
        with self._lock() as acquired:
            if acquired:
                former = self._former()
                kept = former if former is not None and self._is_young(former) else None
                self._drop_all_but(self._directory.current(), kept)

    def rebuild(self, progress: Progress) -> str:
        """A new generation from the beginning; its name. `progress` counts entries.

        Raises Busy, and DirectoryUnavailable when it cannot be written.
        """
        with self._lock() as acquired:
            if not acquired:
                raise Busy
            self._drop_all_but(self._directory.current())
            name = self._begin()
            written = 0
            with _Ahead(self._read) as ahead:
                while self._directory.current() != name:
                    written += self._advance(name, ahead)
                    progress(written, 0)
            return name

    def _begin(self) -> str:
        """An empty generation that starts at the ledger's head."""
        picture = self._writing.catalogue.refresh()
        position = ledger.head(self._writing.database.reader)
        name = self._directory.create(marks.first(position, names_text(names_in(picture))))
        self._writing.advance(name, position)
        return name

    def _unfinished(self) -> str | None:
        """The newest generation, unless it is the one that answers; one that is of no use is dropped.

        Where the one that answers is gone, this is the one before it: it catches up, which is faster than walking.
        """
        names, current = self._directory.names(), self._directory.current()
        if not names or names[-1] == current:
            return None
        try:
            picture = self._writing.catalogue()
            fits = self._directory.mark(names[-1], marks.FORMAT_OF) == FORMAT
            fits = fits and self._writing.agrees(names[-1], picture)
            if fits and self._writing.position(names[-1]) <= ledger.head(self._writing.database.reader):
                return names[-1]
        except DirectoryBroken:
            pass
        self._drop_all_but(current)
        return None

    def _advance(self, name: str, read: _Read | None = None) -> int:
        """Walk on, or catch up, or swap; how many entries or changes, at least 1 while there is something to do."""
        walked = self._directory.mark(name, marks.WALKED)
        if not isinstance(walked, str):
            raise DirectoryBroken("the generation has no build position")
        if walked != marks.DONE:
            return self._walk(name, (read or self._read)(marks.key_of(walked)))
        done = self._writing.feed(name)
        if done < BATCH:
            self._swap(name)
        return max(done, 1)

    def _read(self, after: CertificateKey) -> list[Listed]:
        return directory_source.between(self._writing.database.reader, self._writing.vault, after, _WALK_BATCH)

    def _walk(self, name: str, listed: list[Listed]) -> int:
        walked = marks.key_text(listed[-1].key) if listed else marks.DONE
        return max(self._writing.write(name, listed, {marks.WALKED: walked}), 1)

    def _swap(self, name: str) -> None:
        """From now on this one answers. The former stays for a day or until the next build: for who has just read its
        name, and for who finds the new one wanting."""
        former = self._directory.current()
        self._directory.swap(name)
        if former is not None and former != name:
            with suppress(DirectoryUnavailable):
                self._retire(former)
        self._drop_all_but(name, former)

    def _retire(self, name: str) -> None:
        self._directory.write(name, (), {marks.RETIRED: to_micros(self._writing.clock.now())})

    def _is_young(self, name: str) -> bool:
        """Whether a former generation has answered within the last day; one that does not say begins to count now."""
        try:
            retired = self._directory.mark(name, marks.RETIRED)
            if not isinstance(retired, int):
                self._retire(name)
                return True
        except DirectoryBroken:
            return False
        return self._writing.clock.now() - from_micros(retired) < _KEPT

    def _former(self) -> str | None:
        """The generation before the one that answers."""
        current = self._directory.current()
        names = [name for name in self._directory.names() if name != current]
        older = [name for name in names if current is not None and _number(name) < _number(current)]
        return older[-1] if older else None

    def _drop_all_but(self, *kept: str | None) -> None:
        gone = [name for name in self._directory.names() if name not in kept and name != self._directory.current()]
        for name in gone:
            self._directory.drop(name)
        if gone:
            self._forget_cursors()

    def _forget_cursors(self) -> None:
        """Those of generations that are no more; a feeder may have moved one after the last time."""
        left = {marks.consumer(name) for name in self._directory.names()}
        with self._writing.database.write() as writer:
            for consumer in ledger.consumers(writer, marks.consumer("")):
                if consumer not in left:
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


class _Ahead:
    """Reads what comes next in one build while what it has read is written.

    Only within one build: what was read before its beginning would be older than the position that it catches up from.
    """

    def __init__(self, read: _Read) -> None:
        self._read = read
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[CertificateKey, Future[list[Listed]]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(cancel_futures=True)

    def __call__(self, after: CertificateKey) -> list[Listed]:
        """The certificates after a key."""
        ready = self._next
        listed = ready[1].result() if ready is not None and ready[0] == after else self._read(after)
        key = listed[-1].key if listed else after
        self._next = (key, self._reader.submit(self._read, key)) if listed else None
        return listed


def _number(name: str) -> int:
    return int(name[1:])
