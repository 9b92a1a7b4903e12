"""Whether every shard of an index still has what was written to it: one document in each, made with the index.

A server may give a shard that is lost for good back as an empty one and call itself green. Then the document is gone
with the entries, and whoever counts these documents beside a question finds fewer of them than shards were asked.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

from elasticsearch import Elasticsearch

from indexer.elastic.bulk import Operation, action
from indexer.errors import DirectoryBroken, DirectoryUnavailable

_KIND = "shard"


def marks(server: Elasticsearch, index: str) -> Iterator[Operation]:
    """One document for each shard of a new index; the server says which routings lead where."""
    left = set(range(len(server.search_shards(index=index).body["shards"])))
    for number in count():
        if not left:
            return
        (copies,) = server.search_shards(index=index, routing=str(number)).body["shards"]
        if not copies:
            raise DirectoryUnavailable("a shard of the new index is not available yet")
        shard = copies[0]["shard"]
        if shard in left:
            left.remove(shard)
            yield Operation(action("index", f"{_KIND}-{shard}", number), {"kind": _KIND})


def body() -> dict[str, Any]:
    """How many of these documents there are where a question goes."""
    return {"query": {"term": {"kind": _KIND}}, "size": 0, "track_total_hits": True}


def require(answer: dict[str, Any]) -> None:
    """Raise DirectoryBroken unless every shard that was asked has its document; `answer` is that to `body`."""
    if answer["hits"]["total"]["value"] != answer["_shards"]["total"]:
        raise DirectoryBroken("a shard has lost its entries")
