"""What an index of the Elasticsearch engine is made of: its mapping and settings, and entries and marks as documents.

Text is cut into tokens here, not on the server, so that every engine finds the same and no plugin is needed. Marks are
documents of their own kind in the same index, and no question ever sees them.
"""

import json
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from indexer import tokens
from indexer.engine import EntryKey, Mark
from indexer.entry import Entry

VERSION = 3
"""Bumped whenever the mapping or the meaning of a field changes: an index of another version answers nothing."""
MARKS = "marks"
"""The routing of all marks of an index."""

_MAX_TOKEN = 200  # the whitespace analyzer splits what is longer than 255
_NAMES = tuple(field.name for field in fields(Entry))
_values = attrgetter(*_NAMES)
_SHOWN = {"type": "keyword", "index": False, "doc_values": False}
_FLAG = {"type": "boolean", "doc_values": False}
_DAY = {"type": "integer"}
_SORTED = {"type": "long", "index": False}
_DERIVED = ["listed", "ord", "within", "text"]

PROPERTIES: dict[str, Any] = {
    "kind": {"type": "keyword", "doc_values": False},
    "party": {"type": "long"},
    "home": _SORTED,
    "certificate": _SORTED,
    "revision": {"type": "long", "index": False, "doc_values": False},
    "primary": {"type": "boolean", "index": False, "doc_values": False},
    "ended": _FLAG,
    "identifier": _SHOWN,
    "type_code": {"type": "keyword"},
    "authority": {"type": "keyword"},
    "region": {"type": "keyword", "index": False},
    "standing": {"type": "byte"},
    "issued_on": _DAY,
    "valid_from": _DAY,
    "valid_until": _DAY,
    "superseded_on": _DAY,
    "organisation": _SHOWN,
    "title": _SHOWN,
    "personal": _FLAG,
    "listed": _FLAG,
    "ord": {"type": "long"},
    "within": {"type": "keyword", "doc_values": False},
    "text": {"type": "text", "analyzer": "whitespace", "norms": False},
    "value": _SHOWN,
}


def mappings(shards: int) -> dict[str, Any]:
    """The strict mapping: a field that is not named here is refused. What can be derived is not kept twice."""
    return {
        "dynamic": "strict",
        "_meta": {"mapping_version": VERSION, "shards": shards},
        "_routing": {"required": True},
        "_source": {"excludes": _DERIVED},
        "properties": PROPERTIES,
    }


def settings(shards: int, replicas: int) -> dict[str, Any]:
    """Those of an index in the making, which nobody searches.

    gc_deletes: only a repair deletes, and what it puts in the same place may have a lower revision. sort: entries lie
    in the order in which pages show them, so that a search ends with its page, however many match.
    """
    return {
        "number_of_shards": shards,
        "number_of_replicas": replicas,
        "refresh_interval": "-1",
        "gc_deletes": "0s",
        "sort.field": "ord",
        "sort.order": "desc",
    }


def entry_id(key: EntryKey) -> str:
    """The document of an entry; its routing is its party."""
    return "-".join(map(str, key))


def mark_id(mark: str) -> str:
    """The document of a mark."""
    return f"mark-{mark}"


def document(entry: Entry) -> dict[str, Any]:
    """An entry as it is sent."""
    sent = dict(zip(_NAMES, _values(entry), strict=True))
    sent["kind"] = "entry"
    sent["ord"] = entry.order
    sent["within"] = _within(entry.region)
    sent["listed"] = entry.primary and not entry.ended
    if not entry.ended:
        sent["text"] = _searched(entry.text)
    return sent


def entry_of(source: dict[str, Any]) -> Entry:
    """An entry from its document."""
    return Entry(**{name: source[name] for name in _NAMES})


def mark_document(value: Mark) -> dict[str, Any]:
    """A mark as it is sent."""
    return {"kind": "mark", "value": json.dumps(value, ensure_ascii=False)}


def mark_of(source: dict[str, Any]) -> Mark:
    """A mark from its document."""
    value: Mark = json.loads(source["value"])
    return value


def phrase(words: list[str]) -> str:
    """Tokens for the whitespace analyzer. The sign that ends a long one stands in no token by itself."""
    return " ".join(word if len(word) <= _MAX_TOKEN else f"{word[:_MAX_TOKEN]}…" for word in words)


@lru_cache(maxsize=4096)
def _searched(text: str) -> str:
    """What free search finds an entry by; what people hold has its type's name alone, which is one of few."""
    return phrase(tokens.tokens(text))


@lru_cache(maxsize=4096)
def _within(region: str) -> list[str]:
    """Everything that a search for this region or one around it may ask for."""
    return [region[:length] for length in range(1, len(region) + 1)]
