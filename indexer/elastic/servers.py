"""The state of an Elasticsearch cluster for operators: releases, health, clocks, disk space, write blocks."""

from typing import Any

from elasticsearch import Elasticsearch

from indexer.engine import ServerState

_NODES = "nodes.*.timestamp,nodes.*.name,nodes.*.fs.data"


def state(server: Elasticsearch, indexes: str) -> ServerState:
    """Query every node, and whether one of `indexes` has the flood-stage write block."""
    health = server.cluster.health(filter_path="status,unassigned_shards").body
    versions = server.nodes.info(metric="process", filter_path="nodes.*.version").body["nodes"].values()
    nodes = server.nodes.stats(metric="fs", filter_path=_NODES).body["nodes"].values()
    blocks = server.indices.get_settings(index=indexes, filter_path="*.settings.index.blocks").body
    return ServerState(
        versions=tuple(sorted({str(node["version"]) for node in versions})),
        status=str(health["status"]),
        unassigned=int(health["unassigned_shards"]),
        clocks={str(node["name"]): int(node["timestamp"]) for node in nodes},
        full=tuple(sorted(str(node["name"]) for node in nodes if any(map(_is_full, node["fs"].get("data", ()))))),
        is_closed=any(_is_closed(one["settings"]["index"]["blocks"]) for one in blocks.values()),
    )


def _is_full(disk: dict[str, Any]) -> bool:
    """Whether the server allocates no more shards to a disk."""
    return int(disk["available_in_bytes"]) < int(disk.get("low_watermark_free_space_in_bytes", 0))


def _is_closed(blocks: dict[str, Any]) -> bool:
    return any(str(blocks.get(name)) == "true" for name in ("read_only_allow_delete", "read_only", "write"))
