"""Directory search, newest first: certificates of organisations, and an authority's own; never persons by name.

The directory finds candidates, and the repository adds certificates that have changed since. Every hit is re-read from
the repository before it is shown, and dropped if it no longer matches.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hub.directory.entries import bodies, certificate_of, entries_of, is_personal
from hub.directory.writing import Writing
from hub.domain import numbers
from hub.domain.caller import Caller
from hub.domain.case import Person
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import CertificateKey
from hub.domain.dates import to_int
from hub.domain.errors import Refusal
from hub.runtime.clock import Clock
from hub.store import directory_source, keys, ledger, parties
from hub.store.directory_source import SourceCertificate
from hub.store.retry import retry_on_conflict
from indexer import tokens
from indexer.entry import Entry
from indexer.errors import DirectoryUnavailable
from indexer.query import STATES, Page, Search, matches

OVERLAY = 5_000
"""With more pending certificates than this, an answer is no longer marked complete."""


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """The search criteria; empty texts and None do not restrict. Days are yyyymmdd.

    text: words in the names of organisations and certificate types. uscc: of the organisation that holds it. cursor:
    `SearchResult.next` of the previous page of the same query.
    """

    text: str = ""
    type_code: str = ""
    authority_code: str = ""
    region: str = ""
    state: str = ""
    uscc: str = ""
    issued_from: int | None = None
    issued_to: int | None = None
    cursor: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """One certificate with its newest version. holder_names: organisations only."""

    entry: Entry
    holder_names: tuple[str, ...]
    authority_name: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page. facets: field to value to count over the newest matches, on the first page. next: None at the end."""

    hits: tuple[Hit, ...]
    facets: Mapping[str, Mapping[str, int]]
    next: str | None
    complete: bool
    today: int


class Searching:
    """Answers searches, each from a single generation of the directory."""

    def __init__(self, writing: Writing, clock: Clock) -> None:
        self._writing = writing
        self._clock = clock

    def search(self, caller: Caller, wanted: DirectoryQuery) -> SearchResult:
        """One page of matches; only the issuing authority sees certificates of natural persons.

        Raises Refusal `schema.invalid`, `uscc.checksum`, `id.length`; `index.unavailable` when there is no directory.
        """
        _require(wanted)
        return retry_on_conflict(self._writing.vault, lambda: self._answer(caller, wanted))

    def _answer(self, caller: Caller, wanted: DirectoryQuery) -> SearchResult:
        search = self._search_of(caller, wanted)
        if search is None:
            return SearchResult((), {}, None, complete=True, today=to_int(self._clock.today()))
        try:
            changed, page = self._read(search)
        except DirectoryUnavailable:
            raise Refusal("index.unavailable", retry_after=5) from None
        fresh = self._fresh(search, {certificate_of(e) for e in page.entries} | set(changed[:OVERLAY]))
        hits, following = _merged(search, page, set(changed), fresh)
        catalogue = self._writing.catalogue()
        return SearchResult(
            hits=tuple(_hit(entry, fresh[certificate_of(entry)][0], catalogue) for entry in hits),
            facets=page.facets,
            next=None if following is None else _cursor_text(wanted, following),
            complete=len(changed) <= OVERLAY,
            today=search.today,
        )

    def _read(self, search: Search) -> tuple[list[CertificateKey], Page]:
        """Certificates that the generation lacks (later changes and rejects), then its page; in this order, a change
        that is indexed in between is not missed."""
        directory = self._writing.directory
        generation = directory.current()
        if generation is None:
            raise DirectoryUnavailable("there is no generation yet")
        position = self._writing.position(generation)
        changed = ledger.pending(self._writing.database.reader, position, OVERLAY + 1)
        return changed, directory.search(generation, search)

    def _fresh(
        self, search: Search, keys: Iterable[CertificateKey]
    ) -> dict[CertificateKey, tuple[SourceCertificate, Entry]]:
        """The certificates that match now, each with the matching entry."""
        found = {}
        for certificate in directory_source.of_keys(self._writing.database.reader, self._writing.vault, keys):
            catalogue = self._writing.catalogue(certificate.type_code, certificate.authority)
            entry = next((entry for entry in entries_of(certificate, catalogue) if matches(search, entry)), None)
            if entry is not None:
                found[certificate.key] = (certificate, entry)
        return found

    def _search_of(self, caller: Caller, wanted: DirectoryQuery) -> Search | None:
        """The query to the directory; None for an unknown organisation."""
        party = None
        if wanted.uscc:
            id_type, number = numbers.normalise(numbers.ORGANISATION, wanted.uscc, pointer="/uscc")
            reader, vault = self._writing.database.reader, self._writing.vault
            party = parties.find(reader, vault, Person("", id_type, number))
            if party is None:
                keys.require_current(reader, vault)  # with outdated keys, no party would be found
                return None
        return Search(
            today=to_int(self._clock.today()),
            text=wanted.text,
            type_code=wanted.type_code,
            authority=wanted.authority_code,
            region=wanted.region,
            state=wanted.state,
            party=party,
            issued_from=wanted.issued_from,
            issued_to=wanted.issued_to,
            persons_of=caller.authorities,
            before=_order_of(wanted),
            limit=wanted.limit,
        )


def _require(wanted: DirectoryQuery) -> None:
    if wanted.text:
        if numbers.contains_citizen_number(wanted.text):
            raise Refusal("schema.invalid", "不能用公民身份号码查询目录；请用 POST /lookups", pointer="/q")
        if not tokens.query_tokens(wanted.text):
            raise Refusal("schema.invalid", "应为 2 至 64 个字符，且含有可查的字词", pointer="/q")
    if wanted.state and wanted.state not in STATES:
        raise Refusal("schema.invalid", "未知的状态", pointer="/state")
    _order_of(wanted)


def _merged(
    search: Search,
    page: Page,
    changed: set[CertificateKey],
    fresh: Mapping[CertificateKey, tuple[SourceCertificate, Entry]],
) -> tuple[list[Entry], int | None]:
    """Merge changed certificates into a page; returns its entries and the order after which the next page begins.

    Changed certificates are sorted by their current order, so that none is repeated or skipped if the directory indexes
    it between two pages. All others keep the order that the directory has.
    """
    placed = {certificate_of(e): e.order for e in page.entries if certificate_of(e) not in changed}
    for key in changed & fresh.keys():
        order = fresh[key][1].order
        if (search.before is None or order < search.before) and (page.next is None or order >= page.next):
            placed[key] = order
    ordered = sorted(placed, key=lambda key: placed[key], reverse=True)
    following = page.next
    if len(ordered) > search.limit:
        ordered = ordered[: search.limit]
        following = placed[ordered[-1]]
    return [fresh[key][1] for key in ordered if key in fresh], following


def _hit(entry: Entry, certificate: SourceCertificate, catalogue: Catalogue) -> Hit:
    holders = certificate.versions[-1].holders
    return Hit(entry, () if is_personal(holders) else bodies(holders), catalogue.authority_name(certificate.authority))


# --- cursors: where the previous page ended, bound to the query -------------------------------------------------------


def _cursor_text(wanted: DirectoryQuery, order: int) -> str:
    raw = order.to_bytes(8, "big") + _digest(wanted)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _order_of(wanted: DirectoryQuery) -> int | None:
    if not wanted.cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(wanted.cursor + "=" * (-len(wanted.cursor) % 4))
    except ValueError:
        raw = b""
    if len(raw) != 16 or raw[8:] != _digest(wanted):
        raise Refusal("schema.invalid", "cursor 不是上一页给出的，或查询条件已变", pointer="/cursor")
    return int.from_bytes(raw[:8], "big") & (1 << 63) - 1


def _digest(wanted: DirectoryQuery) -> bytes:
    query = replace(wanted, cursor="", limit=0)
    return hashlib.sha256(repr(query).encode()).digest()[:8]
