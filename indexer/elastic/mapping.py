"""What an index of the Elasticsearch engine consists of: mapping, settings, and entries and marks as JSON documents.

Text is cut into tokens here, not on the server, so that every engine finds the same and no plugin is needed. Marks are
documents of their own kind in the same index; no query returns them.
"""

import json
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any

from indexer import tokens
from indexer.engine import Mark
from indexer.entry import Entry, EntryKey

VERSION = 3
"""Increased when the mapping or the meaning of a field changes: indexes of other versions are not queried."""
MARKS = "marks"
"""The routing of all marks of an index."""

_MAX_TOKEN = 200  # the whitespace analyzer splits what is longer than 255
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
    """The strict mapping: a field that is not named here is rejected. Derived fields are left out of `_source`."""
    return {
        "dynamic": "strict",
        "_meta": {"mapping_version": VERSION, "shards": shards},
        "_routing": {"required": True},
        "_source": {"excludes": _DERIVED},
        "properties": PROPERTIES,
    }


def settings(shards: int, replicas: int) -> dict[str, Any]:
    """The settings of an index that is being built and not searched yet.

    gc_deletes: only a repair deletes, and the document it writes in the same place may have a lower revision. sort:
    entries are stored in the order of result pages, so that a search can stop at the end of its page.
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
    """The document id of an entry; its routing is its party."""
    return "{}-{}-{}".format(*key)


def mark_id(mark: str) -> str:
    """The document id of a mark."""
    return f"mark-{mark}"


_BOOL = ("false", "true")


def document(entry: Entry) -> str:
    """An entry as JSON. Written field by field, because a rebuild sends millions of them."""
    (
        party,
        home,
        certificate,
        revision,
        primary,
        ended,
        identifier,
        type_code,
        authority,
        region,
        standing,
        issued_on,
        valid_from,
        valid_until,
        superseded_on,
        organisation,
        title,
        personal,
    ) = entry
    text = "" if ended else f',"text":{_searched(organisation, title)}'
    return (
        f'{{"party":{party},"home":{home},"certificate":{certificate},"revision":{revision}'
        f',"primary":{_BOOL[primary]},"ended":{_BOOL[ended]},"identifier":{_quoted(identifier)}'
        f',"type_code":{_quoted(type_code)},"authority":{_quoted(authority)},"region":{_quoted(region)}'
        f',"standing":{standing},"issued_on":{issued_on},"valid_from":{valid_from},"valid_until":{valid_until}'
        f',"superseded_on":{superseded_on},"organisation":{_quoted(organisation)},"title":{_quoted(title)}'
        f',"personal":{_BOOL[personal]},"kind":"entry","ord":{entry.order},"within":{_within(region)}'
        f',"listed":{_BOOL[primary and not ended]}{text}}}'
    )


def entry_of(source: dict[str, Any]) -> Entry:
    """An entry from its document."""
    return Entry(*[source[name] for name in Entry._fields])


def mark_document(value: Mark) -> str:
    """A mark as JSON."""
    return json.dumps({"kind": "mark", "value": json.dumps(value, ensure_ascii=False)}, ensure_ascii=False)


def mark_of(source: dict[str, Any]) -> Mark:
    """A mark from its document."""
    value: Mark = json.loads(source["value"])
    return value


def phrase(words: list[str]) -> str:
    """Tokens for the whitespace analyzer. Long ones end with a character that no token contains."""
    return " ".join(word if len(word) <= _MAX_TOKEN else f"{word[:_MAX_TOKEN]}…" for word in words)


@lru_cache(maxsize=4096)
def _searched(organisation: str, title: str) -> str:
    """The text of the search field: for certificates of natural persons, only the type's name."""
    words = _title_tokens(title)
    return _quoted(phrase([*tokens.tokens(organisation), *words] if organisation else words))


@lru_cache(maxsize=1024)
def _title_tokens(title: str) -> list[str]:
    return tokens.tokens(title)


@lru_cache(maxsize=4096)
def _within(region: str) -> str:
    """Every prefix of a region, so that a search for this region or one that contains it matches; as JSON."""
    return json.dumps([region[:length] for length in range(1, len(region) + 1)], separators=(",", ":"))
