"""Elasticsearch without the hub: the official client's bulk helper, and the sizes reported by the server."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elasticsearch import Elasticsearch

from hub.settings import Settings
from indexer.elastic import mapping
from indexer.entry import Entry
from tests.support import elastic

HEAP_MB = 2048
_AT_ONCE = 1_000
_BARE = "-bare"


class _Server(elastic.Server):
    """A node that runs long enough for optimised compilation to pay off."""

    def _environment(self) -> dict[str, str]:
        options = f"-Xms{HEAP_MB}m -Xmx{HEAP_MB}m {elastic._NO_SYNC}"
        return {**super()._environment(), "ES_JAVA_OPTS": options}


@contextmanager
def temporary() -> Iterator[str]:
    """The URL of a temporary node."""
    server = _Server(None, heap_mb=HEAP_MB, settings={"discovery.type": "single-node"})
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@contextmanager
def opened(settings: Settings) -> Iterator["BareElastic"]:
    """Through its own client, without users."""
    assert settings.index_url is not None
    client = Elasticsearch(settings.index_url.split(","), request_timeout=600)
    try:
        yield BareElastic(client, settings)
    finally:
        client.close()


class BareElastic:
    """The server as used by any program."""

    engine = "Elasticsearch"
    name = "the client's bulk"

    def __init__(self, client: Elasticsearch, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def load(self, batches: Iterator[Sequence[Entry]]) -> float:
        """Index the same documents with the same mapping in as many requests, then refresh."""
        index, shards = self._settings.index_prefix + _BARE, self._settings.index_shards
        self._client.options(ignore_status=404).indices.delete(index=index)
        shape = mapping.settings(shards, self._settings.index_replicas)
        self._client.indices.create(index=index, mappings=mapping.mappings(shards), settings=shape)
        taken = 0.0
        for some in batches:
            made = [_operations(some[place : place + _AT_ONCE]) for place in range(0, len(some), _AT_ONCE)]
            begun = time.perf_counter()
            for operations in made:
                answer = self._client.bulk(index=index, operations=operations, filter_path="errors")
                if answer["errors"]:
                    raise RuntimeError("the server refuses a document")
            taken += time.perf_counter() - begun
        begun = time.perf_counter()
        self._client.indices.refresh(index=index)
        taken += time.perf_counter() - begun
        self._client.indices.delete(index=index)
        return taken

    def size(self) -> tuple[int, int]:
        """Of primary shards, after a merge to one segment each; the directory's marks count as entries."""
        alias = self._settings.index_prefix
        self._client.indices.forcemerge(index=alias, max_num_segments=1)
        self._client.indices.refresh(index=alias)
        found = self._client.indices.stats(index=alias, metric=["store", "docs"])["_all"]["primaries"]
        return int(found["store"]["size_in_bytes"]), int(found["docs"]["count"])


def _operations(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for entry in entries:
        place = {"_id": mapping.entry_id(entry.key), "routing": str(entry.party)}
        lines += [{"index": place | {"version": entry.revision, "version_type": "external_gte"}}]
        lines += [json.loads(mapping.document(entry))]
    return lines
