"""Searches of the embedded engine: find matches in a covering index, then read the page's entries by key."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from indexer import tokens
from indexer.embedded.tables import find
from indexer.query import FACET_SAMPLE, MAX_LIMIT, Page, Search, region_prefix, state

_COUNTED = "e.type_code, e.authority, e.region, e.standing, e.valid_from, e.valid_until, e.superseded_on"
_NARROW = f"e.party, e.home, e.certificate, e.ord, {_COUNTED}"
_STANDS = "e.standing IN (1, 4) AND e.superseded_on > :today AND e.valid_until >= :today"
_STATES = {
    "revoked": "e.standing = 3",
    "superseded": "e.standing <> 3 AND e.superseded_on <= :today",
    "expired": "e.standing <> 3 AND e.superseded_on > :today AND e.valid_until < :today",
    "suspended": "e.standing = 2 AND e.superseded_on > :today AND e.valid_until >= :today",
    "not_yet": f"{_STANDS} AND e.valid_from > :today",
    "valid": f"{_STANDS} AND e.valid_from <= :today",
}
Row = tuple[Any, ...]


def search(connection: sqlite3.Connection, wanted: Search) -> Page:
    """One page, read inside a transaction; facets on the first page only."""
    words = wanted.tokens
    if wanted.text and not words:
        return Page((), None)
    limit, is_first = min(wanted.limit, MAX_LIMIT), wanted.before is None
    rows = _rows(connection, wanted, words, (max(limit, FACET_SAMPLE) if is_first else limit) + 1)
    keys = [row[:3] for row in rows[:limit]]
    found = find(connection, keys)
    entries = tuple(found[key] for key in keys)
    following = rows[limit - 1][3] if len(rows) > limit else None
    if not is_first:
        return Page(entries, following)
    facets = _facets([row[4:11] for row in rows[:FACET_SAMPLE]], wanted.today)
    return Page(entries, following, facets, sampled=len(rows) > FACET_SAMPLE)


def _rows(connection: sqlite3.Connection, wanted: Search, words: Sequence[str], limit: int) -> list[Row]:
    """The newest matches: key, order and the columns that facets count."""
    where, values = _conditions(wanted)
    columns, source, order = _NARROW, "entries e", "e.ord DESC"
    is_filtered_here = bool(words) and wanted.party is not None  # words has one holder a certificate; a party has few
    if is_filtered_here:
        columns = f"{_NARROW}, e.organisation, e.title"
    elif words:
        source, order = "words CROSS JOIN entries e INDEXED BY by_order ON e.ord = -words.rowid", "words.rowid"
        where = ["words MATCH :phrase", *where]
        values["phrase"] = '"' + " ".join(words) + '"'
    if wanted.before is not None:
        where.append("e.ord < :before" if order == "e.ord DESC" else "words.rowid > -:before")
        values["before"] = wanted.before
    sql = f"SELECT {columns} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT :limit"  # noqa: S608
    rows = connection.execute(sql, {**values, "limit": -1 if is_filtered_here else limit}).fetchall()
    if is_filtered_here:
        rows = [row for row in rows if tokens.matches(words, " ".join(row[-2:]))]
    return rows[:limit]


def _conditions(search: Search) -> tuple[list[str], dict[str, Any]]:
    where = ["e.ended = 0"]
    if search.party is None:
        where.append('e."primary" = 1')
    values: dict[str, Any] = {"today": search.today}
    for name in ("type_code", "authority", "party"):
        if getattr(search, name) not in {"", None}:
            where.append(f"e.{name} = :{name}")
            values[name] = getattr(search, name)
    if search.region:
        where.append("substr(e.region, 1, :region_length) = :region")
        values["region"] = region_prefix(search.region)
        values["region_length"] = len(values["region"])
    for name, sign, day in (("issued_from", ">=", search.issued_from), ("issued_to", "<=", search.issued_to)):
        if day is not None:
            where.append(f"e.issued_on {sign} :{name}")
            values[name] = day
    if search.state:
        where.append(_STATES[search.state])
    owners = {f"owner{n}": code for n, code in enumerate(sorted(search.persons_of))}
    where.append(f"(e.personal = 0 OR e.authority IN ({', '.join(f':{name}' for name in owners)}))")
    return where, {**values, **owners}


def _facets(rows: Sequence[Row], today: int) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {name: Counter() for name in ("type_code", "authority_code", "region", "state")}
    for (type_code, authority, region, standing, begins, ends, superseded), times in Counter(rows).items():
        found["type_code"][type_code] += times
        found["authority_code"][authority] += times
        found["region"][region] += times
        found["state"][state(standing, begins, ends, superseded, today)] += times
    return {name: dict(counts.most_common()) for name, counts in found.items()}
