"""The directory by itself: what it does with the same entries when nothing has to be read from a repository."""

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
    """An engine without the hub: what it is called, and what loads it fastest."""

    engine: str
    name: str

    def load(self, batches: Iterator[Sequence[Entry]]) -> float:
        """Load entries into a new place as fast as it can be done, until they can be searched; seconds of that alone."""
        ...

    def size(self) -> tuple[int, int]:
        """Bytes of the generation that answers, merged, and how many entries it has."""
        ...


@contextmanager
def bare(settings: Settings) -> Iterator[Bare]:
    """Beside a hub's directory."""
    if settings.index_url is None:
        yield BareEmbedded(settings)
        return
    from tests.benchmarks.scale.elastic import opened

    with opened(settings) as found:
        yield found


def all_of(engine: DirectoryEngine) -> Iterator[Sequence[Entry]]:
    """Every entry of the generation that answers."""
    name, after = engine.current() or "", (0, 0, 0)
    while some := engine.walk(name, after, AT_ONCE):
        yield some
        after = some[-1].key


class Watch:
    """Whether the directory alone finds a certificate, by asking it what the first holder has."""

    def __init__(self, parts: Parts, engine: DirectoryEngine) -> None:
        self._parts = parts
        self._engine = engine
        self._expected: dict[str, Entry] = {}

    def is_there(self, identifier: str) -> bool:
        """In the generation that answers, whatever the repository knows."""
        if identifier not in self._expected:
            self._expected[identifier] = self._parts.directory.explain(identifier).expected[0]
        entry = self._expected[identifier]
        found = self._engine.of_party(self._engine.current() or "", entry.party, [entry.type_code], entry.valid_from)
        return any(one.identifier == identifier for one in found)


class BareEmbedded:
    """The embedded engine in a folder of its own."""

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
        """The file and its log."""
        engine = EmbeddedDirectory(self._folder)
        name = engine.current() or ""
        return sum(path.stat().st_size for path in self._folder.glob(f"{name}.db*")), engine.count(name)
