"""Queries to Elasticsearch as data, and its responses as our types. Filters only: no scoring, newest first.

A page continues after the order of its last entry. The order is unique per certificate and stable while its entry does
not change, so no point in time is kept open on the server: writes between two pages do not shift other entries, and the
caller merges changed certificates into the result. The server counts facets among the newest matches, whose end is
found first: fetching them to count here costs ten times as much.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.elastic.mapping import entry_of, phrase
from indexer.entry import Entry, EntryKey
from indexer.query import FACET_SAMPLE, MAX_LIMIT, STATES, Page, Search, region_prefix

Body = dict[str, Any]
Filter = dict[str, Any]
Hit = dict[str, Any]
AT_ONCE = 1_000

_FACETS = {"type_code": "type_code", "authority_code": "authority", "region": "region"}
_NOTHING = {"_source": False, "stored_fields": "_none_"}


def page_bodies(search: Search) -> list[Body]:
    """The searches for a page: its entries and, on the first page, the end of the newest FACET_SAMPLE matches."""
    query = {"bool": {"filter": _filters(search)}}
    page = _newest(query, min(search.limit, MAX_LIMIT) + 1)
    if search.before is not None:
        return [page | {"search_after": [search.before]}]
    return [page, _newest(query, 2) | {"from": FACET_SAMPLE - 1} | _NOTHING]


def facets_body(search: Search, edge: Sequence[Hit]) -> Body:
    """Count each value among the newest matches; `edge` is the result of the second of `page_bodies`."""
    filters = _filters(search)
    if edge:
        filters.append(_range("ord", gte=int(edge[0]["sort"][0])))
    counted: dict[str, Any] = {
        name: {"terms": {"field": field, "size": FACET_SAMPLE}} for name, field in _FACETS.items()
    }
    states = {one: {"bool": {"filter": _state(one, search.today)}} for one in STATES}
    counted["state"] = {"filters": {"filters": states}}
    return {"query": {"bool": {"filter": filters}}, "size": 0, "track_total_hits": False, "aggs": counted}


def page_of(search: Search, hits: Sequence[Hit]) -> Page:
    """A page without facets."""
    limit = min(search.limit, MAX_LIMIT)
    following = int(hits[limit - 1]["sort"][0]) if len(hits) > limit else None
    return Page(tuple(entries_of(hits[:limit])), following)


def facets_of(aggregations: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The result of `facets_body`, most frequent values first."""
    found = {
        name: {str(one["key"]): int(one["doc_count"]) for one in aggregations[name]["buckets"]} for name in _FACETS
    }
    states = Counter({name: int(one["doc_count"]) for name, one in aggregations["state"]["buckets"].items()})
    return {**found, "state": {name: count for name, count in states.most_common() if count}}


def party_body(party: int, type_codes: Sequence[str], today: int, before: int | None) -> Body:
    """What a party holds on a day, AT_ONCE at a time."""
    held = {"bool": {"should": [_is("ended", False), _range("superseded_on", gt=today)]}}
    query = {"bool": {"filter": [_is("party", party), {"terms": {"type_code": list(type_codes)}}, held]}}
    return _newest(query, AT_ONCE) | ({} if before is None else {"search_after": [before]})


def walk_body(after: EntryKey, limit: int) -> Body:
    """The next entries in key order; keys never change."""
    sort = [{"party": "asc"}, {"home": "asc"}, {"certificate": "asc"}]
    return {"query": _ENTRIES, "sort": sort, "search_after": list(after), "size": limit, "track_total_hits": False}


def count_body() -> Body:
    """Count all entries."""
    return {"query": _ENTRIES, "size": 0, "track_total_hits": True}


def entries_of(hits: Sequence[Hit]) -> list[Entry]:
    """The entries of a response."""
    return [entry_of(hit["_source"]) for hit in hits]


def _newest(query: Filter, size: int) -> Body:
    return {"query": query, "sort": [{"ord": "desc"}], "size": size, "track_total_hits": False}


def _filters(search: Search) -> list[Filter]:
    """`indexer.query.matches` as filters."""
    filters = [_is("listed", True)] if search.party is None else [_is("party", search.party), _is("ended", False)]
    filters += [_is(name, code) for name in ("type_code", "authority") if (code := getattr(search, name))]
    if search.region:
        filters.append(_is("within", region_prefix(search.region)))
    if search.issued_from is not None:
        filters.append(_range("issued_on", gte=search.issued_from))
    if search.issued_to is not None:
        filters.append(_range("issued_on", lte=search.issued_to))
    if search.state:
        filters += _state(search.state, search.today)
    shown = [_is("personal", False), {"terms": {"authority": sorted(search.persons_of)}}]
    filters.append({"bool": {"should": shown}})
    if search.text:
        filters.append({"match_phrase": {"text": phrase(search.tokens)}})
    return filters


def _state(wanted: str, today: int) -> list[Filter]:
    """`indexer.query.state` as filters."""
    if wanted == "revoked":
        return [_is("standing", 3)]
    if wanted == "superseded":
        return [_not(_is("standing", 3)), _range("superseded_on", lte=today)]
    stands = [_range("superseded_on", gt=today)]
    if wanted == "expired":
        return [_not(_is("standing", 3)), *stands, _range("valid_until", lt=today)]
    stands.append(_range("valid_until", gte=today))
    if wanted == "suspended":
        return [_is("standing", 2), *stands]
    stands.append({"terms": {"standing": [1, 4]}})
    return [*stands, _range("valid_from", gt=today) if wanted == "not_yet" else _range("valid_from", lte=today)]


def _is(name: str, value: Any) -> Filter:
    return {"term": {name: value}}


def _not(one: Filter) -> Filter:
    return {"bool": {"must_not": [one]}}


def _range(name: str, **limits: int) -> Filter:
    return {"range": {name: limits}}


_ENTRIES = _is("kind", "entry")
