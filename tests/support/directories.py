"""The directory's engines for tests: a private folder, or private indexes on the shared server."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.directory import marks
from hub.directory.engines import index_folder
from hub.parts import Parts
from indexer.elastic.engine import Access, ElasticDirectory, Shape
from indexer.embedded.engine import EmbeddedDirectory
from indexer.engine import DirectoryEngine
from tests.support import elastic

EMBEDDED, ELASTIC = "embedded", "elastic"
BOTH = (EMBEDDED, ELASTIC)
SHARDS = 3
_numbers = itertools.count(1)


def new_prefix() -> str:
    """A prefix that no other test uses."""
    return f"{elastic.PREFIX}test-{os.getpid()}-{next(_numbers)}"


@contextmanager
def given_back(prefix: str) -> Iterator[str]:
    """The prefix; its indexes are deleted at the end."""
    try:
        yield prefix
    finally:
        server = elastic.shared()
        for index in server.request("GET", f"/{prefix}*/_alias").json():
            server.request("DELETE", f"/{index}")


@contextmanager
def elastic_directory(folder: Path, **access: Any) -> Iterator[ElasticDirectory]:
    """An engine on the shared server, with several shards and deadlines that a busy machine can meet."""
    with given_back(new_prefix()) as prefix:
        entrance = Access(urls=(elastic.shared().url,), **{"timeout_s": 10.0, "write_timeout_s": 30.0, **access})
        directory = ElasticDirectory(entrance, Shape(prefix, SHARDS, 0), folder)
        try:
            yield directory
        finally:
            directory.close()


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[DirectoryEngine]:
    """One of BOTH."""
    if engine == EMBEDDED:
        yield EmbeddedDirectory(folder)
        return
    with elastic_directory(folder) as directory:
        yield directory


@contextmanager
def settings_of(engine: str) -> Iterator[dict[str, Any]]:
    """The settings for this engine, for a private hub."""
    if engine == EMBEDDED:
        yield {}
        return
    with given_back(new_prefix()) as prefix:
        yield {
            "index_url": elastic.shared().url,
            "index_prefix": prefix,
            "index_shards": SHARDS,
            "index_replicas": 0,
            "index_timeout_s": 10.0,
            "index_write_timeout_s": 30.0,
        }


def begin(parts: Parts) -> None:
    """If no generation exists, create an empty one, as on a new hub, for everything to be fed into."""
    directory = parts.directory._directory
    if directory.current() is None:
        directory.swap(directory.create(marks.first(0, "{}") | {marks.WALKED: marks.DONE}))


def lose(parts: Parts) -> None:
    """Delete every generation at once."""
    if parts.settings.index_url is None:
        shutil.rmtree(index_folder(parts.settings))
        return
    server = elastic.shared()
    for index in server.request("GET", f"/{parts.settings.index_prefix}*/_alias").json():
        server.request("DELETE", f"/{index}")
