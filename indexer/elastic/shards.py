"""Detect lost shards: each shard of an index has one marker document, written when the index was created.

A server may replace a lost shard by an empty one and report green. The marker is lost with the entries, so the count of
markers, which is part of every query, is lower than the number of shards that answered.
"""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from elasticsearch import Elasticsearch

from indexer.elastic.bulk import Operation, put_document
from indexer.errors import DirectoryBroken, DirectoryUnavailable

_KIND = "shard"


def marks(server: Elasticsearch, index: str) -> Iterator[Operation]:
    """One marker for each shard of a new index; the server says which routing leads to which shard."""
    missing = set(range(len(server.search_shards(index=index).body["shards"])))
    for number in count():
        if not missing:
            return
        (copies,) = server.search_shards(index=index, routing=str(number)).body["shards"]
        if not copies:
            raise DirectoryUnavailable("a shard of the new index is not available yet")
        shard = copies[0]["shard"]
        if shard in missing:
            missing.remove(shard)
            yield put_document(f"{_KIND}-{shard}", number, json.dumps({"kind": _KIND}))


def body() -> dict[str, Any]:
    """Counts the markers of the shards that a query reaches."""
    return {"query": {"term": {"kind": _KIND}}, "size": 0, "track_total_hits": True}


def require(answer: dict[str, Any]) -> None:
    """Raise DirectoryBroken unless every shard has its marker; `answer` is the response to `body`."""
    if answer["hits"]["total"]["value"] != answer["_shards"]["total"]:
        raise DirectoryBroken("a shard has lost its entries")
