"""The directory engines alone, with the same entries, when nothing has to be read from the database."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from hub.directory import engines
from hub.parts import Parts
from hub.settings import Settings
from indexer.embedded.engine import EmbeddedDirectory
from indexer.engine import DirectoryEngine
from indexer.entry import Entry

AT_ONCE = 5_000


class Bare(Protocol):
    """An engine without the hub: its name, and its fastest way to load."""

    engine: str
    name: str

    def load(self, batches: Iterator[Sequence[Entry]]) -> float:
        """Load entries into a new place as fast as possible, until searchable; returns the seconds for that alone."""
        ...

    def size(self) -> tuple[int, int]:
        """Bytes of the active generation, merged, and how many entries it has."""
        ...


@contextmanager
def bare(settings: Settings) -> Iterator[Bare]:
    """The bare engine that corresponds to a hub's directory."""
    if settings.index_url is None:
        yield BareEmbedded(settings)
        return
    from tests.benchmarks.scale.elastic import opened

    with opened(settings) as found:
        yield found


def all_of(engine: DirectoryEngine) -> Iterator[Sequence[Entry]]:
    """Every entry of the active generation."""
    name, after = engine.current() or "", (0, 0, 0)
    while some := engine.walk(name, after, AT_ONCE):
        yield some
        after = some[-1].key


class Watch:
    """Whether the directory alone finds a certificate, by searching for the first holder's entries."""

    def __init__(self, parts: Parts, engine: DirectoryEngine) -> None:
        self._parts = parts
        self._engine = engine
        self._expected: dict[str, Entry] = {}

    def is_there(self, identifier: str) -> bool:
        """Whether the active generation has it, whatever is in the database."""
        if identifier not in self._expected:
            self._expected[identifier] = self._parts.directory.explain(identifier).expected[0]
        entry = self._expected[identifier]
        found = self._engine.of_party(self._engine.current() or "", entry.party, [entry.type_code], entry.valid_from)
        return any(one.identifier == identifier for one in found)


class BareEmbedded:
    """The embedded engine in its own folder."""

    engine = "the embedded directory"
    name = "the engine alone"

    def __init__(self, settings: Settings) -> None:
        self._folder = engines.index_folder(settings)

    def load(self, batches: Iterator[Sequence[Entry]]) -> float:
        """A generation made of these entries."""
        folder = Path(mkdtemp(prefix="hub-entries-", dir=self._folder.parent))
        try:
            engine, taken = EmbeddedDirectory(folder), 0.0
            name = engine.create()
            for some in batches:
                begun = time.perf_counter()
                engine.write(name, some)
                taken += time.perf_counter() - begun
            begun = time.perf_counter()
            engine.swap(name)
            return taken + time.perf_counter() - begun
        finally:
            shutil.rmtree(folder)

    def size(self) -> tuple[int, int]:
        """Of the file and its WAL."""
        engine = EmbeddedDirectory(self._folder)
        name = engine.current() or ""
        return sum(path.stat().st_size for path in self._folder.glob(f"{name}.db*")), engine.count(name)
