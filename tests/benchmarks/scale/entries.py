"""The directory by itself: what it does with the same entries when nothing has to be read from a repository."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from hub.parts import Parts, index_folder
from indexer.embedded import EmbeddedDirectory
from indexer.entry import Entry

BATCH = 5_000


class Bare(Protocol):
    """An engine without the hub: what it is called, and what loads it fastest."""

    engine: str
    name: str

    def load(self, entries: Sequence[Entry]) -> float:
        """Load entries into a new place as fast as it can be done, until they can be searched; seconds."""
        ...

    def size(self) -> tuple[int, int]:
        """Bytes of the generation that answers, merged, and how many entries it has."""
        ...

    def is_there(self, identifier: str) -> bool:
        """Whether a search in the generation that answers finds a certificate, whatever the repository knows."""
        ...


def bare(parts: Parts) -> Bare:
    """Beside a hub's directory."""
    if getattr(parts.settings, "index_url", None):
        from tests.benchmarks.scale.elastic import BareElastic

        return BareElastic(parts)
    return BareEmbedded(parts)


def everything(parts: Parts, limit: int) -> list[Entry]:
    """Up to so many entries of the generation that answers."""
    engine, found = EmbeddedDirectory(index_folder(parts.settings)), []
    after = (0, 0, 0)
    while len(found) < limit and (some := engine.walk(engine.current() or "", after, BATCH)):
        found += some
        after = some[-1].key
    return found[:limit]


@dataclass(frozen=True, slots=True)
class BareEmbedded:
    """The embedded engine in a folder of its own."""

    parts: Parts
    engine: str = "the embedded directory"
    name: str = "the engine alone"

    def load(self, entries: Sequence[Entry]) -> float:
        """A generation made of these entries."""
        folder = Path(mkdtemp(prefix="hub-entries-", dir=self.parts.settings.data_dir))
        try:
            engine = EmbeddedDirectory(folder)
            begun = time.perf_counter()
            name = engine.create()
            for place in range(0, len(entries), BATCH):
                engine.write(name, entries[place : place + BATCH])
            engine.swap(name)
            return time.perf_counter() - begun
        finally:
            shutil.rmtree(folder)

    def size(self) -> tuple[int, int]:
        """The file and its log."""
        folder = index_folder(self.parts.settings)
        engine = EmbeddedDirectory(folder)
        name = engine.current() or ""
        return sum(path.stat().st_size for path in folder.glob(f"{name}.db*")), engine.count(name)

    def is_there(self, identifier: str) -> bool:
        """What is written is searchable at once."""
        return self.parts.directory.explain(identifier).found[0] is not None
